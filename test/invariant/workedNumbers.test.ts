import { readFile, writeFile } from "node:fs/promises";
import { expect } from "chai";
import { workedNumbers } from "./workedNumbers.js";

const PAGE = new URL("../../docs/accounting.md", import.meta.url);

describe("docs/accounting.md", () => {
  // UPDATE_DOCS=1 writes the tables anew
  it("shows the numbers the model computes, equal to the contracts'", async () => {
    let page = await readFile(PAGE, "utf8");
    const written = page;
    for (const { name, table } of await workedNumbers()) {
      const block = new RegExp(`(<!-- worked: ${name} -->\n\n)[^<]*(\n<!-- end -->)`);
      expect(block.test(page), `a place for the table "${name}"`).to.equal(true);
      page = page.replace(block, (_, open: string, close: string) => `${open}${table}\n${close}`);
    }
    if (process.env["UPDATE_DOCS"] !== undefined) await writeFile(PAGE, page);
    else expect(written).to.equal(page);
  });
});
