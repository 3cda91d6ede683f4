import { accessSync, constants, mkdirSync } from "node:fs";
import { codeOf, ConfigError } from "./errors.js";

/** Makes the folder if need be; what a service remembers of its signatures must outlive it, so it does not start without. */
export function prepareDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new ConfigError(
      "ConfigInvalid",
      `dataDir: ${dataDir} is no folder that this user may write to (${codeOf(cause)}); name another one or mend its permissions.`,
      { dataDir },
      cause,
    );
  }
}
