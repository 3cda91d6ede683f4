import { serveTasks } from "../io/workers.js";
import { verifyParts, type VerifyWork } from "./verifyFiles.js";

serveTasks<VerifyWork>((_shared, parts, onStep) => {
  const found = verifyParts(parts);
  for (let i = 0; i < parts.length; i++) onStep();
  return found;
});
