import { formatEther, formatUnits } from "ethers";
import { aligned } from "../../queue/print.js";
import type { Stage } from "./plan.js";
import { costOf, noncesOf, type PublishView } from "./publish.js";

const STAGES: readonly [stage: Stage, what: string][] = [
  ["unvetted", "wait for the guardians"],
  ["vetted", "vetted, wait for their turn"],
  ["registered", "registered in SSV, wait for ether"],
  ["deposited", "funded"],
  ["discarded", "discarded by the guardians"],
  ["removed", "removed from SSV"],
];
const WEI_PER_GWEI = 10n ** 9n;
const NOT_SIMULATED = ["nobody is named who would send it", "a transaction of the sender waits for a block"] as const;

/** For people. Amounts at the present price. */
export function printPublication(view: PublishView): string[] {
  const { head, batch, account, publication, calls, gasPriceWei, balanceWei, isSimulated } = view;
  const { published, dropped } = publication;
  const left = batch.keys.length - published;
  const { gas, wei: costWei } = costOf(view);
  const operators = batch.operators.map(({ id }) => id).join(", ");
  return [
    `Cluster ${account.clusterId} (operators ${operators}) of account ${batch.account}, at block ${head.number}:`,
    ...aligned([
      ["keys of the batch", String(batch.keys.length)],
      ["  published before", String(published)],
      ...STAGES.flatMap(([stage, what]) => {
        const count = publication.stages.get(stage);
        return count === undefined ? [] : [[`    ${what}`, String(count)]];
      }),
      [
        "  to publish",
        String(left),
        calls.length === 0 ? "" : `in ${calls.length} transaction${calls.length === 1 ? "" : "s"}`,
      ],
    ]),
    ...(dropped === 0
      ? []
      : [
          `! ${dropped} of them were published before and dropped from the queue by the guardians: be sure to know why.`,
        ]),
    ...(calls.length === 0 ? ["All keys of the batch are published."] : ["", ...aligned(rows(view, gas)), ""]),
    ...(calls.length === 0
      ? []
      : [
          `A key costs ${grouped(gas / BigInt(left))} gas, ${ether(costWei / BigInt(left))} ETH, at ${formatUnits(gasPriceWei, "gwei")} gwei a gas.`,
          ...(isSimulated
            ? []
            : [`The gas is the least that it can be: ${NOT_SIMULATED[balanceWei === null ? 0 : 1]}.`]),
          ...(balanceWei === null || balanceWei >= costWei
            ? []
            : [`! The sender has ${formatEther(balanceWei)} ETH, which is too little.`]),
        ]),
  ];
}

function rows({ calls, gasPriceWei }: PublishView, gas: bigint): string[][] {
  const each = calls.map(({ firstNonce, keys, callBytes, gas: used }, i) => [
    String(i + 1),
    String(keys.length),
    noncesOf({ firstNonce, keys }),
    grouped(callBytes),
    grouped(used),
    ether(used * gasPriceWei),
  ]);
  const keys = calls.reduce((sum, call) => sum + call.keys.length, 0);
  const total = ["all", String(keys), "", "", grouped(gas), ether(gas * gasPriceWei)];
  return [
    ["transaction", "keys", "owner nonces", "octets", "gas", "ETH"],
    ...each,
    ...(calls.length > 1 ? [total] : []),
  ];
}

function grouped(value: number | bigint): string {
  return value.toLocaleString("en-US");
}

/** To the gwei. */
function ether(wei: bigint): string {
  return formatUnits(wei / WEI_PER_GWEI, "gwei");
}
