import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { z } from "zod";
import { readJson } from "../../../oracle/keys/files.js";
import { repeatedName } from "../../../oracle/keys/repeatedName.js";

describe("keys/repeatedName", () => {
  for (const [text, name] of [
    ['{"a":1,"a":1}', "a"],
    ['[{"b":{"a":1,"c":{"a":2},"a":3}}]', "a"],
    ['{"a":[1,{"a":2}],"b":"a","c":{"a":{"a":0}}}', null],
    ['{"a":1,"\\u0061":2}', "a"],
    ['{"x\\"":1,"x":2,"x\\\\":3}', null],
    ['{"x\\"":1,"x\\"":2}', 'x"'],
    ['{"a\\\\":1,"a\\\\":2}', "a\\"],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    ['{"":1,"":2}', ""],
    ['["a:{","a:{",{"a":"}{\\"a\\":1"}]', null],
    ["3", null],
  ] as const) {
    it(`${name === null ? "finds nothing" : `finds ${JSON.stringify(name)}`} in ${text}`, () => {
      expect(repeatedName(text)).to.equal(name);
    });
  }

  it("finds nothing in what JavaScript writes, since its objects have a name once", () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 0, max: 4 }), (json, indent) => {
        const value: unknown = JSON.parse(json);
        expect(repeatedName(JSON.stringify(value, null, indent))).to.equal(null);
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  it("is asked about every file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pooleth-json-"));
    const path = join(folder, "file.json");
    try {
      writeFileSync(path, '[{"amount":32,"amount":1}]');
      const error = await readJson(path, z.unknown()).catch((e: unknown) => e);
      expect(error).to.have.property("code", "BadFile");
      expect(error).to.have.property("message").that.includes('the name "amount" is twice');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
