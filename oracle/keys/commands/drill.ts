import { Command, InvalidArgumentError } from "commander";
import { TERMINAL, type CommandIo } from "./options.js";

export function drillCommand(io: CommandIo = TERMINAL): Command {
  return new Command("drill")
    .description(
      "splits a test key and shows who can sign together, and what a bad share does; exit code 1 if it fails",
    )
    .option("--size <operators>", "of the cluster: 4, 7, 10 or 13", clusterSize, 4)
    .action(async ({ size }: { readonly size: number }) => {
      const [{ runDrill, drillPassed }, { printDrill }] = await Promise.all([
        import("../drill/drill.js"),
        import("../drill/print.js"),
      ]);
      const drill = await runDrill(size);
      io.print(printDrill(drill).join("\n"));
      if (!drillPassed(drill)) process.exitCode = 1;
    });
}

function clusterSize(text: string): number {
  if (["4", "7", "10", "13"].includes(text)) return Number(text);
  throw new InvalidArgumentError("A cluster has 4, 7, 10 or 13 operators.");
}
