import { ssz } from "@lodestar/types";
import { expect } from "chai";
import { getBytes, hexlify } from "ethers";
import { EventSource } from "eventsource";
import { startDevnet, type Devnet } from "../../../devnet/devnet.js";
import { credentials, deposit } from "./deposits.js";

interface Header {
  root: string;
  header: { message: { slot: string; state_root: string; parent_root: string } };
}

describe("devnet: Beacon API", () => {
  let devnet: Devnet;
  const request = (path: string, init?: RequestInit): Promise<Response> => fetch(devnet.beaconUrl + path, init);
  const data = async (path: string, init?: RequestInit): Promise<unknown> => {
    const response = await request(path, init);
    expect(response.status, path).to.equal(200);
    return ((await response.json()) as { data: unknown }).data;
  };
  const octets = async (path: string): Promise<Uint8Array> => {
    const response = await request(path, { headers: { accept: "application/octet-stream" } });
    expect(response.headers.get("content-type"), path).to.equal("application/octet-stream");
    return new Uint8Array(await response.arrayBuffer());
  };
  const post = (body: unknown): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

  before(async () => {
    devnet = await startDevnet();
    await devnet.advanceEpochs(5);
  });
  after(() => devnet.close());

  it("serves the finalized state as SSZ, whose root is the header's state root", async () => {
    const { root, header } = (await data("/eth/v1/beacon/headers/finalized")) as Header;
    expect(root).to.equal(devnet.chain.finalized.block.root);
    const state = await octets(`/eth/v2/debug/beacon/states/${header.message.state_root}`);
    const { BeaconState } = ssz.fulu;
    expect(hexlify(BeaconState.hashTreeRoot(BeaconState.deserialize(state)))).to.equal(header.message.state_root);
    const block = (await data("/eth/v2/beacon/blocks/finalized")) as { message: { slot: string; state_root: string } };
    expect(block.message.state_root).to.equal(header.message.state_root);
  });

  it("knows no block of a missed slot, and answers its state advanced", async () => {
    await devnet.skipSlot();
    const missed = devnet.slot;
    await devnet.advance(1);
    expect((await request(`/eth/v1/beacon/headers/${missed}`)).status).to.equal(404);
    expect(await data(`/eth/v1/beacon/headers?slot=${missed}`)).to.deep.equal([]);
    const state = await octets(`/eth/v2/debug/beacon/states/${missed}`);
    expect(ssz.fulu.BeaconState.deserialize(state).slot).to.equal(missed);
    expect((await request(`/eth/v1/beacon/states/${devnet.slot + 1}/root`)).status).to.equal(404);
    const [child] = (await data(
      `/eth/v1/beacon/headers?parent_root=${hexlify(devnet.chain.head.header.parentRoot)}`,
    )) as Header[];
    expect(child!.root).to.equal(devnet.chain.head.root);
  });

  it("answers validators by index, by key and by status, and their balances as SSZ", async () => {
    const all = (await data("/eth/v1/beacon/states/head/validators")) as {
      index: string;
      validator: { pubkey: string };
    }[];
    expect(all.length).to.equal(64);
    const key = all[7]!.validator.pubkey;
    expect(await data(`/eth/v1/beacon/states/head/validators/${key}`)).to.deep.equal(all[7]);
    expect(await data(`/eth/v1/beacon/states/head/validators?id=7,${key}&id=8`)).to.deep.equal([all[7], all[8]]);
    expect(
      await data("/eth/v1/beacon/states/head/validators", post({ ids: [key], statuses: ["active"] })),
    ).to.deep.equal([all[7]]);
    expect(await data("/eth/v1/beacon/states/head/validators?status=exited")).to.deep.equal([]);
    expect((await request("/eth/v1/beacon/states/head/validators/64")).status).to.equal(404);
    expect((await octets("/eth/v1/beacon/states/head/validator_balances")).length).to.equal(64 * 16);
    const identities = await data("/eth/v1/beacon/states/head/validator_identities", post(["7"]));
    expect(identities).to.deep.equal([{ index: "7", pubkey: key, activation_epoch: "0" }]);
  });

  it("serves what clients ask at start", async () => {
    const genesis = (await data("/eth/v1/beacon/genesis")) as Record<string, string>;
    expect(genesis).to.deep.equal({
      genesis_time: String(devnet.genesisTime),
      genesis_validators_root: devnet.genesisValidatorsRoot,
      genesis_fork_version: devnet.genesisForkVersion,
    });
    const spec = (await data("/eth/v1/config/spec")) as Record<string, string>;
    expect([spec["SECONDS_PER_SLOT"], spec["SLOTS_PER_EPOCH"], spec["DEPOSIT_CHAIN_ID"]]).to.deep.equal([
      "12",
      "8",
      "1337",
    ]);
    expect(await data("/eth/v1/config/deposit_contract")).to.deep.equal({
      chain_id: "1337",
      address: "0x00000000219ab540356cbb839cbe05303d7705fa",
    });
    const syncing = (await data("/eth/v1/node/syncing")) as { head_slot: string; is_syncing: boolean };
    expect([syncing.head_slot, syncing.is_syncing]).to.deep.equal([String(devnet.slot), false]);
    const schedule = (await data("/eth/v1/config/fork_schedule")) as { epoch: string }[];
    expect(schedule.length).to.equal(7); // phase0 to Fulu
    expect((await request("/eth/v1/node/health")).status).to.equal(200);
  });

  it("serves the pending queues, finality and randomness", async () => {
    await deposit(devnet, { keyIndex: 1000, withdrawalCredentials: credentials("01", devnet.accounts[0]!.address) });
    const pending = ssz.electra.PendingDeposits.deserialize(
      await octets("/eth/v1/beacon/states/head/pending_deposits"),
    );
    expect(pending.map((entry) => entry.amount)).to.deep.equal([32_000_000_000]);
    for (const path of ["pending_partial_withdrawals", "pending_consolidations"]) {
      expect(await data(`/eth/v1/beacon/states/head/${path}`)).to.deep.equal([]);
    }
    const checkpoints = (await data("/eth/v1/beacon/states/head/finality_checkpoints")) as {
      finalized: { epoch: string };
    };
    expect(checkpoints.finalized.epoch).to.equal(String(devnet.chain.finalized.epoch));
    const lookahead = (await data("/eth/v1/beacon/states/head/proposer_lookahead")) as string[];
    expect(lookahead.length).to.equal(16);
    const { randao } = (await data("/eth/v1/beacon/states/head/randao")) as { randao: string };
    expect(getBytes(randao).length).to.equal(32);
  });

  it("refuses a voluntary exit whose signature is not the validator's", async () => {
    await devnet.advanceEpochs(4);
    const exit = { message: { epoch: "0", validator_index: "1" }, signature: `0xc0${"00".repeat(95)}` };
    const response = await request("/eth/v1/beacon/pool/voluntary_exits", post(exit));
    expect(response.status).to.equal(400);
    expect(await response.text()).to.contain("invalid_signature");
  });

  it("streams blocks, heads and finality", async () => {
    const source = new EventSource(`${devnet.beaconUrl}/eth/v1/events?topics=head,block&topics=finalized_checkpoint`);
    const seen: { type: string; data: Record<string, unknown> }[] = [];
    const finalized = new Promise<void>((resolve) => {
      for (const type of ["head", "block", "finalized_checkpoint"]) {
        source.addEventListener(type, (event) => {
          seen.push({ type, data: JSON.parse(String(event.data)) as Record<string, unknown> });
          if (type === "finalized_checkpoint") resolve();
        });
      }
    });
    await new Promise<void>((resolve) => {
      source.addEventListener("open", () => {
        resolve();
      });
    });
    await devnet.advance(9);
    await finalized;
    source.close();
    expect(seen[0]!.type).to.equal("block");
    expect(seen[1]!.type).to.equal("head");
    expect(seen[1]!.data["block"]).to.equal(seen[0]!.data["block"]);
    const last = seen.find(({ type }) => type === "finalized_checkpoint")!;
    expect(last.data["epoch"]).to.equal(String(devnet.chain.finalized.epoch));
    expect(last.data["block"]).to.equal(devnet.chain.finalized.block.root);
  });

  it("is moved by POST", async () => {
    const before = devnet.slot;
    const control = async (path: string): Promise<{ status: number; text: string }> => {
      const response = await request(`/devnet/${path}`, { method: "POST" });
      return { status: response.status, text: await response.text() };
    };
    expect((await control("advance?slots=3")).status).to.equal(200);
    expect((await control("skip")).text).to.contain(`"slot":${before + 4}`);
    expect((await control("slash?validator=9")).status).to.equal(200);
    expect(devnet.state().validators.getReadonly(9).slashed).to.equal(true);
    expect(await control("slash?validator=9")).to.deep.include({ status: 400 });
    expect((await control("advance?slots=x")).text).to.contain("whole number");
    expect((await control("stop-operator?id=5")).text).to.contain("no operator");
  });

  it("answers only once all who follow the head are done, and says so to a hook that waits for itself", async () => {
    const slots: number[] = [];
    let refusal = "";
    const stop = devnet.onSlot(async (slot) => {
      await Promise.resolve();
      slots.push(slot);
      await devnet.advance().catch((error: unknown) => (refusal = String(error)));
    });
    const first = devnet.slot + 1;
    await Promise.all([devnet.advance(2), devnet.advance(1)]);
    stop();
    await devnet.advance(1);
    expect(slots).to.deep.equal([first, first + 1, first + 2]);
    expect(refusal).to.contain("must not advance");
  });
});
