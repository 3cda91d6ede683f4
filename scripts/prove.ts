import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { setPriority } from "node:os";
import Table from "cli-table3";

/**
 * Proves the properties in scripts/proofs over the code of contracts/libraries with solc's model checker, one at a time. docs/invariants.md
 * says what is proven and what the checker sees in place of what it cannot follow.
 *
 *   npm run prove [-- name...]
 */

const ROOT = new URL("..", import.meta.url);
const LIBRARIES = "contracts/libraries";
const PROOFS = "scripts/proofs";
const STAND_INS = `${PROOFS}/standins`;
// of processor time, so that a busy machine proves as much
const MOST_SECONDS = 60;
const MOST_SECONDS_FALSE = 10;
const MOST_MEMORY_KIB = 3 * 1024 * 1024;
const LOWEST_PRIORITY = 19;

type Sources = Record<string, string>;

/** One property: a contract whose assertion must hold whatever its functions are called with, however often. */
interface Harness {
  name: string;
  property: string;
  path: string;
  source: string;
}

type Outcome = "proved" | "refuted" | "unknown" | "out of time or memory";

interface Diagnostic {
  severity: string;
  message: string;
  formattedMessage: string;
  sourceLocation?: { file: string };
}

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

function solidityIn(folder: string): string[] {
  return readdirSync(new URL(`${folder}/`, ROOT)).filter((name) => name.endsWith(".sol"));
}

/** The harnesses of a file, each with the file's imports alone. */
function harnessesOf(path: string): Harness[] {
  const text = read(path);
  const first = text.indexOf("/// @notice");
  return [...text.matchAll(/^((?:\/\/\/ .*\n)+)contract (\w+)[\s\S]*?^}\n/gm)].map(
    ([contract, notice = "", name = ""]) => ({
      name,
      property: notice.replaceAll("///", "").replace("@notice", "").replaceAll(/\s+/g, " ").trim(),
      path,
      source: text.slice(0, first) + contract,
    }),
  );
}

/** The library with the functions alone that `user` calls: the checker slows down with all it is shown, used or not. */
function used(library: string, user: string): string {
  const functions = new Map(
    [...library.matchAll(/^ {4}function (\w+)\([\s\S]*?^ {4}}\n/gm)].map(([text, name = ""]) => [name, text]),
  );
  const kept = new Set<string>();
  const visit = (text: string): void => {
    for (const [word] of text.replaceAll(/\/\/.*/g, "").matchAll(/\w+/g)) {
      const found = functions.get(word);
      if (found === undefined || kept.has(word)) continue;
      kept.add(word);
      visit(found);
    }
  };
  visit(user);
  for (const [name, text] of functions) if (!kept.has(name)) library = library.replace(text, "");
  return library;
}

/** The library as a base contract that holds the one object its functions work on: the checker forgets what is behind a storage pointer. */
function inPlace(library: string, name: string): string {
  const [, type, variable] = /\(\s*(\w+) storage (\w+)/.exec(library) ?? [];
  if (type === undefined || variable === undefined)
    throw new Error(`${name} works on no storage: it needs no base contract`);
  return library
    .replace(`library ${name} {`, `abstract contract ${name} {\n    ${type} internal ${variable};`)
    .replaceAll(new RegExp(`${type} storage ${variable},?\\s*`, "g"), "")
    .replaceAll(`(${variable}, `, "(");
}

/** Everything the compiler is shown: the harness, and what it uses of the libraries and of the stand-ins. */
function sourcesFor(harness: Harness): Sources {
  const sources: Sources = { [harness.path]: harness.source };
  for (const [, name = ""] of harness.source.matchAll(/libraries\/(\w+)\.sol/g)) {
    let library = used(read(`${LIBRARIES}/${name}.sol`), harness.source);
    if (harness.source.includes(` is ${name} {`)) library = inPlace(library, name);
    sources[`${LIBRARIES}/${name}.sol`] = library
      .replaceAll(/\buint(64|96)\(/g, "Narrow.toUint$1(")
      .replace(/^pragma .*$/m, `$&\nimport {Narrow} from "${STAND_INS}/Narrow.sol";`);
  }
  const users = Object.values(sources).join("\n");
  for (const file of solidityIn(STAND_INS)) sources[`${STAND_INS}/${file}`] = used(read(`${STAND_INS}/${file}`), users);
  return sources;
}

/** Asks the model checker in a process of its own, which can be ended. */
function check(harness: Harness, mostSeconds: number): Outcome {
  const sources = Object.entries(sourcesFor(harness)).map(([path, content]) => [path, { content }]);
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(sources) as Record<string, { content: string }>,
    settings: {
      evmVersion: "prague",
      remappings: [`@openzeppelin/contracts/utils/math/=${STAND_INS}/`],
      modelChecker: {
        contracts: { [harness.path]: [harness.name] },
        engine: "chc",
        solvers: ["z3"],
        targets: ["assert"],
        timeout: 0, // of one query; anything else needs threads, which the compiler does not have here
        showProvedSafe: true,
        showUnproved: true,
      },
    },
  };
  const solc = createRequire(import.meta.url).resolve("solc/solc.js");
  const { stdout, status } = spawnSync(
    "sh",
    [
      "-c",
      `ulimit -t ${mostSeconds}; ulimit -v ${MOST_MEMORY_KIB}; exec "$0" "$@"`,
      process.execPath,
      solc,
      "--standard-json",
    ],
    { input: JSON.stringify(input), encoding: "utf8" },
  );
  if (status !== 0) return "out of time or memory";
  const { errors = [] } = JSON.parse(stdout.slice(stdout.indexOf("{"))) as { errors?: Diagnostic[] };
  const failure = errors.find(({ severity }) => severity === "error");
  if (failure !== undefined) throw new Error(`${harness.name} does not compile: ${failure.formattedMessage}`);
  return outcomeOf(
    errors.filter(({ message }) => message.startsWith("CHC: ")),
    harness,
  );
}

function outcomeOf(verdicts: Diagnostic[], { path }: Harness): Outcome {
  if (verdicts.some(({ message }) => message.includes("violation happens here"))) return "refuted";
  const safe = (verdict: Diagnostic): boolean => verdict.message.includes("check is safe");
  return verdicts.every(safe) && verdicts.some(({ sourceLocation }) => sourceLocation?.file === path)
    ? "proved"
    : "unknown";
}

/** The same with an assertion that is false: whoever proves that assumes what cannot be. */
function withFalse(harness: Harness): Harness {
  return { ...harness, source: harness.source.replaceAll(/\bassert\([\s\S]*?\);\n/g, "assert(false);\n") };
}

setPriority(LOWEST_PRIORITY);
const names = process.argv.slice(2);
const harnesses = solidityIn(PROOFS)
  .flatMap((file) => harnessesOf(`${PROOFS}/${file}`))
  .filter(({ name }) => names.length === 0 || names.includes(name));
if (harnesses.length === 0)
  throw new Error(`No property is called ${names.join(", ")}; they are the contracts in ${PROOFS}.`);

const table = new Table({
  head: ["property", "engine", "result", "s"],
  colWidths: [84],
  wordWrap: true,
  style: { head: [], border: [] },
});
const began = performance.now();
let proved = 0;
for (const harness of harnesses) {
  const start = performance.now();
  let outcome: Outcome | "contradictory" = check(harness, MOST_SECONDS);
  if (outcome === "proved" && check(withFalse(harness), MOST_SECONDS_FALSE) === "proved") outcome = "contradictory";
  if (outcome === "proved") proved++;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.error(`${harness.name}: ${outcome}, ${seconds} s`);
  table.push([harness.property, "CHC", outcome, seconds]);
}
console.log(table.toString());
console.log(
  `${proved} of ${harnesses.length} proved in ${((performance.now() - began) / 1000).toFixed(0)} s, and a false assertion in its place was not, in ${MOST_SECONDS_FALSE} s each.\n` +
    "OpenZeppelin's Math, SafeCast and narrowing conversions are replaced by scripts/proofs/standins; ranges are those of the harnesses' types. See docs/invariants.md.",
);
process.exitCode = proved === harnesses.length ? 0 : 1;
