import { Interface } from "ethers";
import { ISSVNetwork__factory } from "../../types/ethers-contracts/index.js";

/** The events of SSV Network that its nodes act on. Octets are lower case hex, owners checksummed addresses. */
export type NetworkEvent =
  | { type: "OperatorAdded"; operatorId: bigint; publicKey: string }
  | { type: "OperatorRemoved"; operatorId: bigint }
  | { type: "ValidatorAdded"; owner: string; operatorIds: bigint[]; publicKey: string; sharesData: string }
  | { type: "ValidatorRemoved"; owner: string; publicKey: string }
  | { type: "ValidatorExited"; owner: string; publicKey: string }
  | { type: "ClusterLiquidated"; owner: string; operatorIds: bigint[] }
  | { type: "ClusterReactivated"; owner: string; operatorIds: bigint[] }
  | { type: "FeeRecipientAddressUpdated"; owner: string; recipient: string };

const network = new Interface(ISSVNetwork__factory.abi);

/** `null` for events that nodes have no use for. */
export function decodeNetworkEvent(log: { topics: string[]; data: string }): NetworkEvent | null {
  const parsed = network.parseLog(log);
  if (parsed === null) return null;
  const text = (name: string): string => parsed.args.getValue(name) as string;
  const id = (): bigint => parsed.args.getValue("operatorId") as bigint;
  const ids = (): bigint[] => [...(parsed.args.getValue("operatorIds") as Iterable<bigint>)];
  const validator = (): { owner: string; publicKey: string } => ({
    owner: text("owner"),
    publicKey: text("publicKey"),
  });
  switch (parsed.name) {
    case "OperatorAdded":
      return { type: parsed.name, operatorId: id(), publicKey: text("publicKey") };
    case "OperatorRemoved":
      return { type: parsed.name, operatorId: id() };
    case "ValidatorAdded":
      return { type: parsed.name, ...validator(), operatorIds: ids(), sharesData: text("shares") };
    case "ValidatorRemoved":
    case "ValidatorExited":
      return { type: parsed.name, ...validator() };
    case "ClusterLiquidated":
    case "ClusterReactivated":
      return { type: parsed.name, owner: text("owner"), operatorIds: ids() };
    case "FeeRecipientAddressUpdated":
      return { type: parsed.name, owner: text("owner"), recipient: text("recipientAddress") };
    default:
      return null;
  }
}
