import { drillPassed, type Drill, type Tally, type Trial } from "./drill.js";

/** Combinations shown one by one; of more the first ones are. */
const MOST_SHOWN = 6;

/** For people. */
export function printDrill(drill: Drill): string[] {
  const { size, threshold, publicKey, enough, tooFew, badShare, badCiphertext } = drill;
  const mayFail = size - threshold;
  const left = mayFail - 1;
  return [
    `A cluster of ${size} operators: any ${threshold} sign for the validator, ${mayFail} may fail. Test key ${publicKey.slice(0, 12)}..., thrown away.`,
    "",
    ...picture(size, threshold),
    "",
    ...rows(`any ${threshold} operators`, enough, size),
    ...rows(`${threshold - 1} operators, one too few`, tooFew, size),
    "",
    `Operator ${badShare.operator} signs with a share of another key (x):`,
    ...rows(`${threshold} operators, with it`, badShare.among, size, badShare.operator),
    ...rows(`${threshold} operators, without it`, badShare.without, size),
    `  ${
      left === 0
        ? "The others go on, but none of them may fail any more."
        : `The others go on, and ${left} of them may still fail, not ${mayFail}.`
    } Whoever checks the batch sees it before it is published: ${badShare.findings.join(", ")}.`,
    "",
    `Operator ${badCiphertext.operator} gets a ciphertext that ${badCiphertext.decrypted ? "it should not be able to decrypt, and does" : "it cannot decrypt"}:`,
    "  Its node leaves the validator alone, and the others go on as above. Only that operator can see it: checks of the batch find " +
      `${badCiphertext.findings.length === 0 ? "nothing" : badCiphertext.findings.join(", ")}.`,
    "  From outside, DKG proofs show that ciphertexts are right; without them the first attestations do, which is why guardians fund two first.",
    "",
    drillPassed(drill) ? "All as it must be." : "! Not as it must be: use no key that this program has split.",
  ];
}

function picture(size: number, threshold: number): string[] {
  const boxes = Array.from({ length: size }, (_, i) => `(${i + 1})`.padStart(4).padEnd(5));
  const width = boxes.join(" ").length;
  const middle = Math.floor(width / 2);
  const line = Array.from({ length: width }, () => " ");
  const stems = boxes.map((_, i) => i * 6 + 2);
  const [first, last] = [stems[0] ?? 0, stems.at(-1) ?? 0];
  for (let at = first; at <= last; at++) line[at] = "─";
  for (const at of stems) line[at] = at === first ? "└" : at === last ? "┘" : "┴";
  line[middle] = stems.includes(middle) ? "┼" : "┬";
  const under = (text: string): string => `  ${" ".repeat(Math.max(0, middle - Math.floor(text.length / 2)))}${text}`;
  return [
    `  ${boxes.join(" ").trimEnd()}`,
    `  ${line.join("").trimEnd()}`,
    `  ${" ".repeat(middle)}│ any ${threshold} partial signatures`,
    under("validator"),
  ];
}

function rows(what: string, { combinations, trials }: Tally, size: number, bad?: bigint): string[] {
  const valid = trials.filter((trial) => trial.valid).length;
  const tried =
    trials.length === combinations
      ? `all ${combinations} tried`
      : `a sample of ${trials.length} of ${combinations} tried`;
  const shown = trials.slice(0, trials.length > MOST_SHOWN ? MOST_SHOWN - 1 : MOST_SHOWN);
  return [
    `  ${what}: ${valid} of ${trials.length} combinations give a valid signature (${tried})`,
    ...shown.map((trial) => `    ${dots(trial, size, bad)}  ${trial.valid ? "valid" : "not valid"}`),
    ...(shown.length < trials.length ? ["    ..."] : []),
  ];
}

function dots({ operators }: Trial, size: number, bad: bigint | undefined): string {
  return Array.from({ length: size }, (_, i) => {
    const id = BigInt(i + 1);
    return operators.includes(id) ? (id === bad ? "x" : "●") : "·";
  }).join(" ");
}
