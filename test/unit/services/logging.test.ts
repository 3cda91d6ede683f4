import { Writable } from "node:stream";
import { expect } from "chai";
import { ServiceError } from "../../../oracle/ops/errors.js";
import { createLogger, describeError, publicUrl, type LogLevel } from "../../../oracle/ops/logging.js";

function capture(level: LogLevel = "info") {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  return { lines, logger: createLogger(level, destination) };
}

describe("logging", () => {
  it("writes one JSON object a line, with the level's name", () => {
    const { lines, logger } = capture();
    logger.info({ slot: 3 }, "hello");
    expect(lines[0]).to.include({ level: "info", slot: 3, msg: "hello" });
  });

  it("has a level between error and fatal for what a person must look at now", () => {
    const { lines, logger } = capture("alert");
    logger.error("not this");
    logger.alert("this");
    expect(lines.map(({ level }) => level)).to.deep.equal(["alert"]);
  });

  it("hides whatever could be a secret", () => {
    const { lines, logger } = capture();
    const secret = "0xdeadbeef";
    logger.info({
      key: secret,
      config: { keys: { oracle: secret } },
      a: { b: { password: secret } },
      privateKey: secret,
    });
    expect(JSON.stringify(lines)).not.to.include(secret);
    expect(JSON.stringify(lines)).to.include("[secret]");
  });

  it("shows of a URL only where it points", () => {
    expect(publicUrl("https://user:token@node.example:8545/v3/token?key=token")).to.equal("https://node.example:8545");
    expect(publicUrl("no url token")).to.equal("(not a URL)");
  });

  it("tells an error's code, facts and cause, with amounts in decimals", () => {
    const error = new ServiceError("HeadMoved", "moved", { wei: 5n }, new Error("why"));
    const described = describeError(error);
    expect(described).to.deep.include({
      name: "ServiceError",
      code: "HeadMoved",
      message: "moved",
      meta: { wei: "5" },
    });
    expect(described["cause"]).to.deep.include({ name: "Error", message: "why" });
    expect(describeError("text")).to.deep.equal({ message: "text" });
    const { lines, logger } = capture();
    logger.error({ error }, "failed");
    expect(lines[0]?.["error"]).to.deep.include({ code: "HeadMoved", meta: { wei: "5" } });
  });
});
