import { expect } from "chai";
import { concat, id, keccak256, Wallet } from "ethers";
import {
  depositKeysHash,
  digestOf,
  linkToBytes32,
  messageToJson,
  recover,
  sign,
  signedMessageSchema,
  type Message,
} from "../../../oracle/signatures/messages.js";
import { APPROVAL, DOMAINS, REPORT, VETTING } from "./messagesSupport.js";

describe("messages", () => {
  const signer = new Wallet(id("signer"));
  const messages: Message[] = [
    { kind: "report", message: REPORT },
    { kind: "vetting", message: VETTING },
    { kind: "deposit", message: APPROVAL },
  ];

  for (const message of messages) {
    it(`of kind ${message.kind} recover to their signer, and travel as JSON unchanged`, async () => {
      const signed = await sign(message, DOMAINS, signer);
      expect(recover(signed, DOMAINS)).to.equal(signer.address);
      const received = signedMessageSchema.parse(JSON.parse(messageToJson(signed)));
      expect(received).to.deep.equal(signed);
    });

    it(`of kind ${message.kind} are worth nothing elsewhere or with another figure`, async () => {
      const signed = await sign(message, DOMAINS, signer);
      expect(recover(signed, { ...DOMAINS, chainId: 5 })).not.to.equal(signer.address);
      const other = { ...DOMAINS, reportOracle: signer.address, guardians: signer.address };
      expect(recover(signed, other)).not.to.equal(signer.address);
      for (const [field, value] of Object.entries(message.message)) {
        if (field === "ids") continue; // names the keys; what is signed is their hash
        const changed =
          typeof value === "bigint"
            ? value + 1n
            : typeof value === "number"
              ? value + 1
              : typeof value === "string"
                ? id(value)
                : [...(value as number[]), 99];
        const forged = { ...signed, message: { ...message.message, [field]: changed } } as typeof signed;
        expect(recover(forged, DOMAINS), field).not.to.equal(signer.address);
        expect(digestOf(forged, DOMAINS), field).not.to.equal(digestOf(message, DOMAINS));
      }
    });
  }

  it("have no signer when the signature is no signature", async () => {
    const signed = await sign({ kind: "vetting", message: VETTING }, DOMAINS, signer);
    expect(recover({ ...signed, signature: `0x${"00".repeat(65)}` }, DOMAINS)).to.equal(null);
    expect(recover({ ...signed, signature: "0x12" }, DOMAINS)).to.equal(null);
  });

  it("hash deposit keys as the registry does", () => {
    const keys = [
      { publicKey: "0x01", depositSignature: "0x02" },
      { publicKey: "0x03", depositSignature: "0x04" },
    ];
    expect(depositKeysHash(keys)).to.equal(keccak256(concat([keccak256("0x0102"), keccak256("0x0304")])));
    expect(depositKeysHash(keys)).not.to.equal(depositKeysHash([...keys].reverse()));
  });

  it("pad a link of the hash chain on the right, as Solidity does", () => {
    expect(linkToBytes32(`0x${"ab".repeat(26)}`)).to.equal(`0x${"ab".repeat(26)}${"00".repeat(6)}`);
  });

  const malformed: [what: string, change: Record<string, unknown>][] = [
    ["a number where a decimal belongs", { clBalance: 5 }],
    ["a negative amount", { clBalance: "-5" }],
    ["an amount beyond 128 bits", { clBalance: (1n << 128n).toString() }],
    ["a short root", { beaconBlockRoot: "0x11" }],
    ["too many exits", { exited: Array.from({ length: 129 }, (_, i) => i) }],
    ["a negative id", { exited: [-1] }],
    ["an unknown field", { colour: 1 }],
  ];
  for (const [what, change] of malformed) {
    it(`are refused with ${what}`, async () => {
      const signed = await sign({ kind: "report", message: REPORT }, DOMAINS, signer);
      const json = JSON.parse(messageToJson(signed)) as { message: object };
      expect(signedMessageSchema.safeParse(json).success).to.equal(true);
      expect(signedMessageSchema.safeParse({ ...json, message: { ...json.message, ...change } }).success).to.equal(
        false,
      );
    });
  }
});
