import { id } from "ethers";

/** The release of Safe's Transaction Builder whose files these are like. */
const BUILDER_VERSION = "1.18.2";

/** A file that Safe's Transaction Builder opens; everything in it becomes one transaction of the Safe. */
export interface SafeBatch {
  readonly version: "1.0";
  readonly chainId: string;
  /** milliseconds */
  readonly createdAt: number;
  readonly meta: {
    readonly name: string;
    readonly description: string;
    readonly txBuilderVersion: string;
    readonly createdFromSafeAddress: string;
    readonly createdFromOwnerAddress: "";
    readonly checksum?: string;
  };
  readonly transactions: readonly {
    readonly to: string;
    readonly value: string;
    readonly data: string;
    readonly contractMethod: null;
    readonly contractInputsValues: null;
  }[];
}

export interface SafeCall {
  readonly chainId: number;
  readonly safe: string;
  readonly name: string;
  readonly description: string;
  readonly to: string;
  readonly data: string;
  readonly createdAt: Date;
}

export function safeBatch({ chainId, safe, name, description, to, data, createdAt }: SafeCall): SafeBatch {
  const batch: SafeBatch = {
    version: "1.0",
    chainId: String(chainId),
    createdAt: createdAt.getTime(),
    meta: {
      name,
      description,
      txBuilderVersion: BUILDER_VERSION,
      createdFromSafeAddress: safe,
      createdFromOwnerAddress: "",
    },
    transactions: [{ to, value: "0", data, contractMethod: null, contractInputsValues: null }],
  };
  return { ...batch, meta: { ...batch.meta, checksum: safeChecksum(batch) } };
}

/** keccak256 of the Builder's own form of the batch: without a name, which may be changed, and without the checksum. */
export function safeChecksum(batch: { readonly meta: object }): string {
  const meta = Object.fromEntries(Object.entries(batch.meta).filter(([name]) => name !== "checksum"));
  return id(canonical({ ...batch, meta: { ...meta, name: null } }));
}

/** Keys sorted and written before the values, every value followed by a comma; lists as in JSON. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  const values = fields.map(([, field]) => `${canonical(field)},`).join("");
  return `{${JSON.stringify(fields.map(([name]) => name))}${values}}`;
}
