// Writes golden.json: what Hugging Face's own tokenizers make of texts.txt.
//
//   npm install tokenizers@0.13.3 && node golden.mjs
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
const { Tokenizer } = createRequire(process.cwd() + "/x.js")("tokenizers");
const texts = JSON.parse(readFileSync("texts.json", "utf8"));
const golden = {};
for (const name of ["wordpiece", "unigram"]) {
  const t = Tokenizer.fromFile(name + ".json");
  t.setTruncation(1 << 20);
  golden[name] = [];
  for (const text of texts) golden[name].push((await t.encode(text, null)).getIds());
}
writeFileSync("golden.json", JSON.stringify(golden));
