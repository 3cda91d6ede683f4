import { AsyncLocalStorage } from "node:async_hooks";
import type { SecretKey } from "@chainsafe/blst";
import type { ChainConfig } from "@lodestar/config";
import { SLOTS_PER_EPOCH } from "@lodestar/params";
import { interopSecretKey } from "@lodestar/state-transition";
import {
  HDNodeWallet,
  JsonRpcProvider,
  Mnemonic,
  hexlify,
  parseEther,
  type Interface,
  type TransactionReceipt,
  type TransactionResponse,
} from "ethers";
import { createBeaconApi } from "./consensus/beaconApi.js";
import { Chain, type SlotOptions } from "./consensus/chain.js";
import { devnetChainConfig } from "./consensus/config.js";
import { OwnValidators } from "./consensus/duties.js";
import { createGenesisState } from "./consensus/genesis.js";
import { validatorByPubkey, type BeaconState, type ValidatorView } from "./consensus/state.js";
import { addControls } from "./controls.js";
import { DevnetError } from "./errors.js";
import { startExecutionNode } from "./execution/edr.js";
import { ExecutionLayer } from "./execution/executionLayer.js";
import { RpcServer } from "./execution/rpcServer.js";
import { OperatorNetwork } from "./operators/network.js";
import { requireSuccess } from "./transactions.js";

export type { BeaconState, ValidatorView } from "./consensus/state.js";
export { DevnetError } from "./errors.js";

const CHAIN_ID = 1337;
/** Fixed, so that two runs of one program are equal to the byte. */
const GENESIS_TIME = 1_767_225_600;
const SECONDS_PER_SLOT = 12;
const MNEMONIC = "test test test test test test test test test test test junk";
const ACCOUNTS = 20;
const ACCOUNT_BALANCE_WEI = parseEther("1000000");
/** A transaction that no block took after so many slots never will be. */
const MINE_PATIENCE_SLOTS = 16;

export interface DevnetOptions {
  /** Validators the devnet itself runs, none of them the pool's. Default 64. */
  genesisValidators?: number;
  /** Epoch of the Fulu fork; before it the chain is Electra. Default `"genesis"`, which is epoch 0. */
  fulu?: "genesis" | number;
  /** 0 or absent: any free port. */
  rpcPort?: number;
  beaconPort?: number;
  /** Unix seconds. Default: a constant. */
  genesisTime?: number;
  /** Default 12, as everywhere. Few validators earn much: longer slots bring yearly rates back to earth. */
  secondsPerSlot?: number;
  extraConfig?: Partial<ChainConfig>;
  /** Blocks that must follow before SSV nodes act on an event. Default 8, as ssv-node. */
  ssvFollowDistance?: number;
}

/** A local Ethereum with virtual time: slots pass when they are asked to. */
export interface Devnet {
  readonly rpcUrl: string;
  readonly beaconUrl: string;
  readonly genesisTime: number;
  readonly chainId: number;
  readonly secondsPerSlot: number;
  readonly slotsPerEpoch: number;
  readonly genesisForkVersion: string;
  readonly genesisValidatorsRoot: string;
  readonly provider: JsonRpcProvider;
  /** Funded accounts of the well-known test mnemonic, connected to `provider`. */
  readonly accounts: readonly HDNodeWallet[];
  /** The chain itself, for what this facade does not name. */
  readonly chain: Chain;
  readonly slot: number;
  /** The SSV operators; they start to work with `operators.follow(ssvNetwork)`. */
  readonly operators: OperatorNetwork;

  /** Lets slots pass, a block in each that somebody proposes. Resolves when every `onSlot` hook is done. */
  advance(slots?: number): Promise<void>;
  advanceUntil(condition: () => boolean | Promise<boolean>, maxSlots?: number): Promise<void>;
  advanceEpochs(epochs: number): Promise<void>;
  /** A missed proposal. */
  skipSlot(): Promise<void>;
  /** From Gloas on: a block whose payload never comes. */
  withholdPayload(): Promise<void>;
  /** Validators of genesis (and those given to `run`) that do no duty from now on; replaces the former set. */
  setOffline(indices: Iterable<number>): void;
  /** Runs a deposited validator that no SSV operator runs. */
  run(secretKey: SecretKey): void;
  /** Evidence of a double proposal, in the next block. */
  slash(validatorIndex: number): Promise<void>;
  /** Calls the hook after each slot and waits for it. Answers how to stop. A hook must not advance the devnet. */
  onSlot(hook: (slot: number) => Promise<void>): () => void;
  /** The head's state; read only. */
  state(): BeaconState;
  /** From the head's state, `null` while the registry does not know the key. */
  validatorByPubkey(pubkey: string): ValidatorView | null;
  /**
   * Sends, advances until a block has it (one slot, usually), answers the receipt. Throws on revert, with the reason; custom errors are named by
   * `interfaces`.
   */
  mineTx(
    transaction: Promise<TransactionResponse> | TransactionResponse,
    ...interfaces: Interface[]
  ): Promise<TransactionReceipt>;
  /** Ends servers and node. */
  close(): Promise<void>;
}

export async function startDevnet(options: DevnetOptions = {}): Promise<Devnet> {
  const {
    genesisValidators = 64,
    fulu = "genesis",
    genesisTime = GENESIS_TIME,
    secondsPerSlot = SECONDS_PER_SLOT,
  } = options;
  if (!Number.isInteger(genesisValidators) || genesisValidators < SLOTS_PER_EPOCH) {
    throw new DevnetError(
      "DEVNET_INVALID",
      `genesisValidators must be at least ${SLOTS_PER_EPOCH}: every slot needs a committee`,
    );
  }
  const chainConfig = devnetChainConfig(
    CHAIN_ID,
    fulu === "genesis" ? 0 : fulu,
    secondsPerSlot,
    options.extraConfig ?? {},
  );
  const node = await startExecutionNode({
    chainId: CHAIN_ID,
    genesisTime,
    mnemonic: MNEMONIC,
    accounts: ACCOUNTS,
    accountBalanceWei: ACCOUNT_BALANCE_WEI,
  });
  const execution = new ExecutionLayer(node, secondsPerSlot, chainConfig.GLOAS_FORK_EPOCH < Infinity);
  const payloadHeader = await execution.genesis();
  const own = new OwnValidators();
  for (let i = 0; i < genesisValidators; i++) own.run(interopSecretKey(i));
  const genesis = createGenesisState({ chainConfig, genesisTime, validators: genesisValidators, payloadHeader });
  const operators: OperatorNetwork = new OperatorNetwork(() => chain, node, options.ssvFollowDistance);
  const chain: Chain = new Chain(genesis.config, genesis.state, execution, [operators, own]);
  const rpc = new RpcServer(node, execution);
  const rpcUrl = await rpc.listen(options.rpcPort ?? 0);
  const api = createBeaconApi(chain);

  const provider = new JsonRpcProvider(rpcUrl, CHAIN_ID, {
    staticNetwork: true,
    cacheTimeout: -1,
    batchMaxCount: 1,
    pollingInterval: 25,
  });
  const root = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(MNEMONIC), "m/44'/60'/0'/0");
  const accounts = Array.from({ length: ACCOUNTS }, (_, i) => root.deriveChild(i).connect(provider));
  const slots = new SlotClock(chain, operators);

  const devnet: Omit<Devnet, "beaconUrl"> & { beaconUrl: string } = {
    rpcUrl,
    beaconUrl: "",
    genesisTime,
    chainId: CHAIN_ID,
    secondsPerSlot,
    slotsPerEpoch: SLOTS_PER_EPOCH,
    genesisForkVersion: hexlify(chainConfig.GENESIS_FORK_VERSION),
    genesisValidatorsRoot: hexlify(chain.config.genesisValidatorsRoot),
    provider,
    accounts,
    chain,
    operators,
    get slot() {
      return chain.slot;
    },
    advance: (count = 1) => slots.advance(count),
    async advanceUntil(condition, maxSlots = 64 * SLOTS_PER_EPOCH) {
      for (let waited = 0; !(await condition()); waited++) {
        if (waited === maxSlots) {
          throw new DevnetError("DEVNET_TIMEOUT", `still not true after ${maxSlots} slots: ${condition.toString()}`, {
            slot: chain.slot,
          });
        }
        await slots.advance(1);
      }
    },
    advanceEpochs: (epochs) => slots.advance(epochs * SLOTS_PER_EPOCH),
    skipSlot: () => slots.advance(1, { skip: true }),
    withholdPayload: () => slots.advance(1, { withhold: true }),
    setOffline: (indices) => {
      own.setOffline(indices);
    },
    run: (secretKey) => {
      own.run(secretKey);
    },
    async slash(validatorIndex) {
      chain.slash(validatorIndex);
      const slashed = (): boolean => chain.headState.validators.getReadonly(validatorIndex).slashed;
      await devnet.advanceUntil(slashed, SLOTS_PER_EPOCH);
    },
    onSlot: (hook) => slots.onSlot(hook),
    state: () => chain.headState,
    validatorByPubkey: (pubkey) => validatorByPubkey(chain.headState, pubkey),
    async mineTx(transaction, ...interfaces) {
      const { hash } = await transaction;
      for (let waited = 0; waited < MINE_PATIENCE_SLOTS; waited++) {
        await slots.advance(1);
        const receipt = await provider.getTransactionReceipt(hash);
        if (receipt !== null) return requireSuccess(provider, receipt, interfaces);
      }
      throw new DevnetError(
        "DEVNET_TRANSACTION",
        `no block took transaction ${hash} in ${MINE_PATIENCE_SLOTS} slots; look for a nonce gap, a fee below the base fee, or slots nobody proposes`,
        { hash },
      );
    },
    async close() {
      provider.destroy();
      await api.close();
      await rpc.close();
      await node.close();
    },
  };
  addControls(api, devnet);
  devnet.beaconUrl = await api.listen({ port: options.beaconPort ?? 0, host: "127.0.0.1" });
  return devnet;
}

/** One slot at a time, whoever asks, and after each slot everyone who wants to keep up with the head. */
class SlotClock {
  readonly #chain: Chain;
  readonly #operators: OperatorNetwork;
  readonly #hooks = new Set<(slot: number) => Promise<void>>();
  readonly #insideHook = new AsyncLocalStorage<true>();
  #last: Promise<void> = Promise.resolve();

  constructor(chain: Chain, operators: OperatorNetwork) {
    this.#chain = chain;
    this.#operators = operators;
  }

  onSlot(hook: (slot: number) => Promise<void>): () => void {
    this.#hooks.add(hook);
    return () => this.#hooks.delete(hook);
  }

  async advance(slots: number, options: SlotOptions = {}): Promise<void> {
    if (this.#insideHook.getStore() === true) {
      throw new DevnetError(
        "DEVNET_INVALID",
        "an onSlot hook must not advance the devnet: the slot waits for the hook",
      );
    }
    for (let i = 0; i < slots; i++) {
      const turn = this.#last.then(() => this.#one(options));
      this.#last = turn.catch(() => undefined); // whoever asked for that slot hears of its failure; the next ask starts anew
      await turn;
    }
  }

  async #one(options: SlotOptions): Promise<void> {
    await this.#chain.nextSlot(options);
    await this.#operators.onSlot();
    const { slot } = this.#chain;
    await this.#insideHook.run(true, async () => {
      for (const hook of this.#hooks) await hook(slot);
    });
  }
}
