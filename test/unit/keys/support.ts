import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface TestOperator {
  id: bigint;
  publicKeyPem: string;
  privateKey: KeyObject;
}

const pool: TestOperator[] = [];

/** The first `count` operators of one set of RSA keys, made once a run because they are slow to make. */
export function testOperators(count: number): TestOperator[] {
  while (pool.length < count) {
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    pool.push({
      id: BigInt(pool.length * pool.length + 3),
      publicKeyPem: publicKey.export({ format: "pem", type: "spki" }).toString(),
      privateKey,
    });
  }
  return pool.slice(0, count);
}

export interface DkgFixture {
  name: string;
  folder: string;
  read: (file: string) => unknown;
}

/** Real ssv-dkg ceremonies. They are not part of the repository: POOLETH_FIXTURES or a folder beside the checkout has them. */
export function dkgFixtures(test: Mocha.Context): DkgFixture[] {
  const fixtures = process.env.POOLETH_FIXTURES ?? join(import.meta.dirname, "../../../../shared/fixtures");
  const root = join(fixtures, "ssv-dkg");
  if (!existsSync(root)) {
    console.log(`      no ssv-dkg fixtures in ${root}: set POOLETH_FIXTURES to have this test run`);
    test.skip();
  }
  return readdirSync(root)
    .filter((name) => name.endsWith("-operators"))
    .flatMap((name) =>
      readdirSync(join(root, name)).map((ceremony) => {
        const folder = join(root, name, ceremony);
        return { name, folder, read: (file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as unknown };
      }),
    );
}
