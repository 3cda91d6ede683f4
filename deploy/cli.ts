import { CommanderError } from "commander";
import { runDeploy } from "./command.js";
import { DeployError } from "./errors.js";

try {
  await runDeploy(process.argv.slice(2), (text) => {
    console.log(text);
  });
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode; // it has said what was wrong
  } else {
    console.error(error instanceof DeployError ? `${error.code}: ${error.message}` : error);
    process.exitCode = 1;
  }
}
