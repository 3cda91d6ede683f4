import { nativeHasher, portableHasher, useHasher } from "../../../oracle/beacon/hasher.js";

/** A suite that runs with each hasher that there is on this machine. */
export function describeWithEachHasher(name: string, tests: () => void): void {
  for (const hasher of [nativeHasher, portableHasher]) {
    if (hasher === undefined) continue;
    describe(`${name}, hashing with ${hasher.name}`, () => {
      before(() => {
        useHasher(hasher);
      });
      after(() => {
        useHasher(nativeHasher ?? portableHasher);
      });
      tests();
    });
  }
}
