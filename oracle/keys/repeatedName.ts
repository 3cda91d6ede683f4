const QUOTE = '"';
const BACKSLASH = "\\";

/**
 * A name that an object of a JSON text has twice, null if none has. The grammar allows it and parsers differ in which value they take, so
 * that one file could say different things to two tools.
 * @param text that is known to be JSON
 */
export function repeatedName(text: string): string | null {
  /** names of the open objects, innermost last; null for an array */
  const open: (Set<string> | null)[] = [];
  let last = "";
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case QUOTE: {
        const end = endOfString(text, at);
        last = text.slice(at, end + 1);
        at = end;
        break;
      }
      case "{":
        open.push(new Set());
        break;
      case "[":
        open.push(null);
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case ":": {
        const name = JSON.parse(last) as string; // escapes: "a" and "\u0061" are one name
        const names = open.at(-1);
        if (names?.has(name) === true) return name;
        names?.add(name);
        break;
      }
      default:
    }
  }
  return null;
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf(QUOTE, start + 1);
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf(QUOTE, end + 1);
  return end < 0 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}
