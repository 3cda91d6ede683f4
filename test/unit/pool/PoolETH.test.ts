import { expect } from "chai";
import { network } from "hardhat";
import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { PoolETH__factory, WalletHarness__factory, type PoolETH } from "../../../types/ethers-contracts/index.js";
import { ETHER, fields, MAX_UINT88 } from "./support.js";

const PERMIT = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
};

/** The token alone, with a plain account in the PoolManager's place. */
async function setup() {
  const connection = await network.create("osaka");
  const { ethers, networkHelpers } = connection;
  const [manager, alice, bob, carol, queue] = (await ethers.getSigners()) as [
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
  ];
  const token = await new PoolETH__factory(manager).deploy(manager.address, queue.address);
  const now = async () => BigInt(await networkHelpers.time.latest());
  const nonce = (owner: { address: string } | string) =>
    token.nonces(typeof owner === "string" ? owner : owner.address);
  const signPermit = async (
    key: HardhatEthersSigner,
    owner: string,
    spender: string,
    value: bigint,
    deadline: bigint,
    domain: Record<string, unknown> = {},
  ) =>
    key.signTypedData(
      {
        name: "poolETH",
        version: "1",
        chainId: (await ethers.provider.getNetwork()).chainId,
        verifyingContract: await token.getAddress(),
        ...domain,
      },
      PERMIT,
      { owner, spender, value, nonce: await nonce(owner), deadline },
    );
  return {
    ethers,
    networkHelpers,
    provider: connection.provider,
    token,
    manager,
    alice,
    bob,
    carol,
    queue,
    now,
    signPermit,
  };
}

/** 100 shares in alice's hands, 150 wei behind them: 1.5 wei a share. */
async function oneAndAHalf() {
  const context = await setup();
  const { token, alice, manager } = context;
  await token.mint(alice, 100n);
  await token.rebase(150n, 0n, 0n, manager, 0n, 0n);
  return { ...context, asAlice: token.connect(alice) };
}

const permitWithBytes = (token: PoolETH) =>
  token.getFunction("permit(address,address,uint256,uint256,bytes)") as unknown as (
    ...args: [string, string, bigint, bigint, string]
  ) => ReturnType<PoolETH["approve"]>;
const permitWithVRS = (token: PoolETH) =>
  token.getFunction("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)") as unknown as (
    ...args: [string, string, bigint, bigint, number, string, string]
  ) => ReturnType<PoolETH["approve"]>;

describe("PoolETH", () => {
  it("says what it is", async () => {
    const { token } = await setup();
    expect(await token.name()).to.equal("poolETH");
    expect(await token.symbol()).to.equal("poolETH");
    expect(await token.decimals()).to.equal(18n);
    const domain = await token.eip712Domain();
    expect([domain.name, domain.version, domain.verifyingContract]).to.deep.equal([
      "poolETH",
      "1",
      await token.getAddress(),
    ]);
  });

  describe("mint", () => {
    it("gives the first staker a share a wei", async () => {
      const { token, alice } = await setup();
      expect(await token.getSharesByPooledEth(7n)).to.equal(7n);
      expect(await token.getPooledEthByShares(7n)).to.equal(7n);
      expect(await token.mint.staticCall(alice, 1_000n)).to.deep.equal([1_000n, 1_000n]);
      await expect(token.mint(alice, 1_000n))
        .to.emit(token, "Transfer")
        .withArgs("0x0000000000000000000000000000000000000000", alice.address, 1_000n)
        .and.to.emit(token, "TransferShares")
        .withArgs("0x0000000000000000000000000000000000000000", alice.address, 1_000n);
      expect(await token.totalShares()).to.equal(1_000n);
      expect(await token.totalPooledEther()).to.equal(1_000n);
    });

    it("rounds shares down and adds the whole amount", async () => {
      const { token, bob } = await oneAndAHalf();
      expect(await token.mint.staticCall(bob, 10n)).to.deep.equal([6n, 160n]);
      await token.mint(bob, 10n);
      expect(await token.sharesOf(bob)).to.equal(6n);
      expect(await token.totalSupply()).to.equal(160n);
      expect(await token.balanceOf(bob)).to.equal(9n);
    });

    it("refuses anyone but the PoolManager, addresses that cannot hold, and less than a share", async () => {
      const { token, alice, bob, queue } = await oneAndAHalf();
      await expect(token.connect(alice).mint(alice, 1n))
        .to.be.revertedWithCustomError(token, "NotPoolManager")
        .withArgs(alice.address);
      for (const to of ["0x0000000000000000000000000000000000000000", await token.getAddress(), queue.address])
        await expect(token.mint(to, 10n)).to.be.revertedWithCustomError(token, "InvalidAddress").withArgs(to);
      await expect(token.mint(bob, 1n)).to.be.revertedWithCustomError(token, "ZeroShares").withArgs(1n);
    });

    it("refuses while nothing is behind the shares, and what does not fit", async () => {
      const { token, alice, manager } = await oneAndAHalf();
      await token.rebase(0n, 0n, 0n, manager, 0n, 0n);
      await expect(token.mint(alice, 1n)).to.be.revertedWithCustomError(token, "NoPooledEther");
      await token.rebase(1n, 0n, 0n, manager, 0n, 0n);
      await expect(token.mint(alice, MAX_UINT88)).to.be.revertedWithCustomError(
        token,
        "SafeCastOverflowedUintDowncast",
      );
      await token.rebase(MAX_UINT88, 0n, 0n, manager, 0n, 0n);
      await expect(token.mint(alice, ETHER * ETHER)).to.be.revertedWithCustomError(
        token,
        "SafeCastOverflowedUintDowncast",
      );
    });
  });

  describe("rebase", () => {
    it("writes the rate and mints the fee", async () => {
      const { token, alice, bob } = await oneAndAHalf();
      await expect(token.rebase(220n, 0n, 5n, bob, 10n, 0n))
        .to.emit(token, "RateUpdated")
        .withArgs(110n, 220n, 0n, 5n)
        .and.to.emit(token, "Transfer")
        .withArgs("0x0000000000000000000000000000000000000000", bob.address, 20n)
        .and.to.emit(token, "TransferShares")
        .withArgs("0x0000000000000000000000000000000000000000", bob.address, 10n);
      expect(fields(await token.rate())).to.deep.equal({
        totalShares: 110n,
        pooledEther: 220n,
        streamRate: 0n,
        streamEnd: 5n,
      });
      expect(await token.balanceOf(alice)).to.equal(200n);
      await expect(token.rebase(220n, 0n, 5n, bob, 0n, 0n)).not.to.emit(token, "Transfer");
    });

    it("lets the total follow the stream to its end and no further", async () => {
      const { token, alice, manager, networkHelpers, now } = await setup();
      await token.mint(alice, ETHER);
      const end = (await now()) + 1_000n;
      await token.rebase(2n * ETHER, 10n ** 11n, end, manager, 0n, 0n); // 0.001 ETH a second
      await networkHelpers.time.increaseTo(end - 400n);
      expect(await token.totalPooledEther()).to.equal((16n * ETHER) / 10n);
      expect(await token.balanceOf(alice)).to.equal((16n * ETHER) / 10n);
      await networkHelpers.time.increaseTo(end);
      expect(await token.totalPooledEther()).to.equal(2n * ETHER);
      await networkHelpers.time.increaseTo(end + 1_000_000n);
      expect(await token.totalSupply()).to.equal(2n * ETHER);
    });

    it("never falls below zero", async () => {
      const { token, alice, manager, now } = await setup();
      await token.mint(alice, ETHER);
      await token.rebase(ETHER, 10n ** 12n, (await now()) + 1_000n, manager, 0n, 0n);
      expect(await token.totalPooledEther()).to.equal(0n);
      expect(await token.balanceOf(alice)).to.equal(0n);
      await expect(token.getSharesByPooledEth(1n)).to.be.revertedWithCustomError(token, "NoPooledEther");
      await expect(token.connect(alice).transfer(manager, 1n)).to.be.revertedWithCustomError(token, "NoPooledEther");
      await token.connect(alice).transferShares(manager, ETHER);
      expect(await token.sharesOf(manager)).to.equal(ETHER);
    });

    it("refuses anyone but the PoolManager, and figures wider than the slot", async () => {
      const { token, alice, manager } = await oneAndAHalf();
      await expect(token.connect(alice).rebase(1n, 0n, 0n, alice, 0n, 0n))
        .to.be.revertedWithCustomError(token, "NotPoolManager")
        .withArgs(alice.address);
      for (const args of [
        [2n ** 88n, 0n, 0n, 0n],
        [1n, 2n ** 48n, 0n, 0n],
        [1n, 0n, 2n ** 32n, 0n],
        [1n, 0n, 0n, MAX_UINT88],
      ] as const)
        await expect(token.rebase(args[0], args[1], args[2], manager, args[3], 0n)).to.be.revertedWithCustomError(
          token,
          "SafeCastOverflowedUintDowncast",
        );
    });
  });

  describe("transfer", () => {
    it("moves the shares at or below the amount", async () => {
      const { token, asAlice, alice, bob } = await oneAndAHalf();
      await expect(asAlice.transfer(bob, 31n))
        .to.emit(token, "Transfer")
        .withArgs(alice.address, bob.address, 31n)
        .and.to.emit(token, "TransferShares")
        .withArgs(alice.address, bob.address, 20n);
      expect(await token.sharesOf(alice)).to.equal(80n);
      expect(await token.balanceOf(bob)).to.equal(30n);
      expect(await token.totalShares()).to.equal(100n);
    });

    it("to oneself changes nothing", async () => {
      const { token, asAlice, alice } = await oneAndAHalf();
      await asAlice.transfer(alice, 150n);
      await asAlice.transferShares(alice, 100n);
      expect(await token.sharesOf(alice)).to.equal(100n);
    });

    it("refuses more than there is, and addresses that cannot hold", async () => {
      const { token, asAlice, alice, bob, queue } = await oneAndAHalf();
      await expect(asAlice.transfer(bob, 152n))
        .to.be.revertedWithCustomError(token, "InsufficientShares")
        .withArgs(alice.address, 100n, 101n);
      await expect(asAlice.transfer(bob, 2n ** 256n - 1n)).to.be.revertedWithCustomError(token, "InsufficientShares");
      await expect(asAlice.transferShares(bob, 2n ** 256n - 1n)).to.be.revertedWithCustomError(
        token,
        "InsufficientShares",
      );
      await asAlice.approve(bob, 10n);
      for (const to of ["0x0000000000000000000000000000000000000000", await token.getAddress(), queue.address]) {
        await expect(asAlice.transfer(to, 1n)).to.be.revertedWithCustomError(token, "InvalidAddress").withArgs(to);
        await expect(asAlice.transferShares(to, 1n)).to.be.revertedWithCustomError(token, "InvalidAddress");
        for (const take of ["transferFrom", "transferSharesFrom"] as const)
          await expect(token.connect(bob)[take](alice, to, 1n)).to.be.revertedWithCustomError(token, "InvalidAddress");
      }
    });

    it("by shares is exact", async () => {
      const { token, asAlice, alice, bob } = await oneAndAHalf();
      expect(await asAlice.transferShares.staticCall(bob, 33n)).to.equal(49n);
      await expect(asAlice.transferShares(bob, 33n))
        .to.emit(token, "Transfer")
        .withArgs(alice.address, bob.address, 49n)
        .and.to.emit(token, "TransferShares")
        .withArgs(alice.address, bob.address, 33n);
      expect(await token.sharesOf(bob)).to.equal(33n);
    });
  });

  describe("allowances", () => {
    it("are spent by amount", async () => {
      const { token, asAlice, alice, bob, carol } = await oneAndAHalf();
      await expect(asAlice.approve(bob, 40n)).to.emit(token, "Approval").withArgs(alice.address, bob.address, 40n);
      await token.connect(bob).transferFrom(alice, carol, 31n);
      expect(await token.allowance(alice, bob)).to.equal(9n);
      expect(await token.sharesOf(carol)).to.equal(20n);
      await expect(token.connect(bob).transferFrom(alice, carol, 10n))
        .to.be.revertedWithCustomError(token, "InsufficientAllowance")
        .withArgs(bob.address, 9n, 10n);
    });

    it("are spent by shares' value rounded up", async () => {
      const { token, asAlice, alice, bob, carol } = await oneAndAHalf();
      await asAlice.approve(bob, 50n);
      expect(await token.connect(bob).transferSharesFrom.staticCall(alice, carol, 33n)).to.equal(49n);
      await token.connect(bob).transferSharesFrom(alice, carol, 33n);
      expect(await token.allowance(alice, bob)).to.equal(0n);
      await expect(token.connect(bob).transferSharesFrom(alice, carol, 1n))
        .to.be.revertedWithCustomError(token, "InsufficientAllowance")
        .withArgs(bob.address, 0n, 2n);
    });

    it("without bound stay", async () => {
      const { token, asAlice, alice, bob } = await oneAndAHalf();
      await asAlice.approve(bob, 2n ** 256n - 1n);
      await token.connect(bob).transferFrom(alice, bob, 30n);
      await token.connect(bob).transferSharesFrom(alice, bob, 10n);
      expect(await token.allowance(alice, bob)).to.equal(2n ** 256n - 1n);
      expect(await token.sharesOf(bob)).to.equal(30n);
    });

    it("do not help an owner who holds too little", async () => {
      const { token, asAlice, alice, bob } = await oneAndAHalf();
      await asAlice.approve(bob, 2n ** 256n - 1n);
      await expect(token.connect(bob).transferFrom(alice, bob, 200n)).to.be.revertedWithCustomError(
        token,
        "InsufficientShares",
      );
      await expect(token.connect(bob).transferSharesFrom(alice, bob, 101n)).to.be.revertedWithCustomError(
        token,
        "InsufficientShares",
      );
    });

    it("refuse spenders that cannot be", async () => {
      const { token, asAlice, queue } = await oneAndAHalf();
      for (const spender of ["0x0000000000000000000000000000000000000000", await token.getAddress(), queue.address])
        await expect(asAlice.approve(spender, 1n)).to.be.revertedWithCustomError(token, "InvalidAddress");
    });
  });

  describe("permit", () => {
    it("takes a key's signature, once, both ways it is passed", async () => {
      const { ethers, token, alice, bob, now, signPermit } = await setup();
      const deadline = (await now()) + 100n;
      const signature = await signPermit(alice, alice.address, bob.address, 5n, deadline);
      await expect(permitWithBytes(token)(alice.address, bob.address, 5n, deadline, signature))
        .to.emit(token, "Approval")
        .withArgs(alice.address, bob.address, 5n);
      expect(await token.nonces(alice)).to.equal(1n);
      await expect(permitWithBytes(token)(alice.address, bob.address, 5n, deadline, signature))
        .to.be.revertedWithCustomError(token, "InvalidPermit")
        .withArgs(alice.address);

      const { v, r, s } = ethers.Signature.from(await signPermit(alice, alice.address, bob.address, 6n, deadline));
      await permitWithVRS(token)(alice.address, bob.address, 6n, deadline, v, r, s);
      expect(await token.allowance(alice, bob)).to.equal(6n);
    });

    it("lets the spender move what was permitted", async () => {
      const { token, asAlice, alice, bob, now, signPermit } = await oneAndAHalf();
      const deadline = (await now()) + 100n;
      const signature = await signPermit(alice, alice.address, bob.address, 30n, deadline);
      await permitWithBytes(asAlice)(alice.address, bob.address, 30n, deadline, signature);
      await token.connect(bob).transferFrom(alice, bob, 30n);
      expect(await token.sharesOf(bob)).to.equal(20n);
    });

    it("refuses other keys, other terms, other domains, garbage and what is late", async () => {
      const { token, alice, bob, now, signPermit } = await setup();
      const deadline = (await now()) + 100n;
      const permit = permitWithBytes(token);
      const good = await signPermit(alice, alice.address, bob.address, 5n, deadline);
      const cases: [string, string, bigint, bigint, string][] = [
        [alice.address, bob.address, 6n, deadline, good],
        [alice.address, alice.address, 5n, deadline, good],
        [bob.address, bob.address, 5n, deadline, good],
        [alice.address, bob.address, 5n, deadline + 1n, good],
        [alice.address, bob.address, 5n, deadline, await signPermit(bob, alice.address, bob.address, 5n, deadline)],
        [
          alice.address,
          bob.address,
          5n,
          deadline,
          await signPermit(alice, alice.address, bob.address, 5n, deadline, { chainId: 1n }),
        ],
        [alice.address, bob.address, 5n, deadline, "0x"],
        [alice.address, bob.address, 5n, deadline, `0x${"00".repeat(65)}`],
        ["0x0000000000000000000000000000000000000000", bob.address, 5n, deadline, `0x${"00".repeat(65)}`],
      ];
      for (const args of cases)
        await expect(permit(...args))
          .to.be.revertedWithCustomError(token, "InvalidPermit")
          .withArgs(args[0]);
      await expect(permit(alice.address, bob.address, 5n, (await now()) - 1n, good)).to.be.revertedWithCustomError(
        token,
        "PermitExpired",
      );
      expect(await token.nonces(alice)).to.equal(0n);
    });

    it("takes a contract account's word (ERC-1271)", async () => {
      const { token, manager, alice, bob, now, signPermit } = await setup();
      const wallet = await (await new WalletHarness__factory(manager).deploy(alice.address)).getAddress();
      const deadline = (await now()) + 100n;
      const good = await signPermit(alice, wallet, bob.address, 5n, deadline);
      await permitWithBytes(token)(wallet, bob.address, 5n, deadline, good);
      expect(await token.allowance(wallet, bob)).to.equal(5n);
      const bad = await signPermit(bob, wallet, bob.address, 5n, deadline);
      await expect(permitWithBytes(token)(wallet, bob.address, 5n, deadline, bad)).to.be.revertedWithCustomError(
        token,
        "InvalidPermit",
      );
    });

    it("takes the key's signature of an account that also has code (EIP-7702)", async () => {
      const { token, alice, bob, now, signPermit, provider } = await setup();
      await provider.request({ method: "hardhat_setCode", params: [alice.address, "0x60006000fd"] });
      const deadline = (await now()) + 100n;
      const signature = await signPermit(alice, alice.address, bob.address, 5n, deadline);
      await permitWithBytes(token)(alice.address, bob.address, 5n, deadline, signature);
      expect(await token.allowance(alice, bob)).to.equal(5n);
    });

    it("has the domain separator of EIP-712", async () => {
      const { ethers, token } = await setup();
      expect(await token.DOMAIN_SEPARATOR()).to.equal(
        ethers.TypedDataEncoder.hashDomain({
          name: "poolETH",
          version: "1",
          chainId: (await ethers.provider.getNetwork()).chainId,
          verifyingContract: await token.getAddress(),
        }),
      );
    });
  });

  it("shows what shares and amounts are worth, rounded down, for any argument", async () => {
    const { token } = await oneAndAHalf();
    expect(await token.getPooledEthByShares(33n)).to.equal(49n);
    expect(await token.getSharesByPooledEth(50n)).to.equal(33n);
    expect(await token.getPooledEthByShares(2n ** 256n - 1n)).to.be.greaterThan(MAX_UINT88);
    expect(await token.getSharesByPooledEth(2n ** 256n - 1n)).to.be.greaterThan(MAX_UINT88);
  });
});
