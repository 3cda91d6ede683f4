import { toJson } from "../../queue/print.js";
import { isGood, type KeyReport } from "./inspect.js";
import type { JudgedValidator } from "./judgeFiles.js";

const [KEY_HEAD, KEY_TAIL] = [12, -6] as const;

/**
 * For people: a line a validator.
 * @param red makes a line that something is wrong with stand out
 */
export function printReport({ validators, problems, notChecked }: KeyReport, red: (line: string) => string): string[] {
  const wrong = validators.filter(({ findings }) => findings.length > 0).length;
  const faults = problems.length === 0 ? "" : `; ${problems.length} wrong besides, of the files themselves`;
  const summary = `${validators.length} validator${validators.length === 1 ? "" : "s"}: ${validators.length - wrong} good, ${wrong} wrong${faults}`;
  return [
    ...problems.map((problem) => red(`WRONG  ${oneLine(problem)}`)),
    ...validators.map((validator) => {
      const line = validatorLine(validator);
      return validator.findings.length > 0 ? red(line) : line;
    }),
    ...(validators.length === 0 ? ["No validators."] : [summary]),
    ...notChecked.map((what) => `Not checked: ${what}`),
  ];
}

function validatorLine({ publicKey, nonce, operatorIds, findings }: JudgedValidator): string {
  const parts = [
    findings.length > 0 ? "WRONG" : "good ",
    ...(nonce === null ? [] : [`nonce ${nonce}`]),
    publicKey === null ? "no key" : `${publicKey.slice(0, KEY_HEAD)}..${publicKey.slice(KEY_TAIL)}`,
    ...(operatorIds.length === 0 ? [] : [`operators ${operatorIds.join(",")}`]),
    ...findings.map(({ message }) => oneLine(message)),
  ];
  return parts.join("  ");
}

/** Files may hold anything, and what is quoted of them must not move the cursor. */
function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what is to be replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}

/** For programs: nonces, ids and amounts as decimal strings. */
export function reportJson(report: KeyReport): string {
  const { validators, problems, notChecked } = report;
  return toJson({
    good: isGood(report),
    validators: validators.map(({ publicKey, account, nonce, operatorIds, findings }) => ({
      ...{ publicKey, account, nonce, operatorIds, findings },
      good: findings.length === 0,
    })),
    problems,
    notChecked,
  });
}
