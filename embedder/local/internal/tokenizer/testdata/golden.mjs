// Writes golden.json: what Hugging Face's own tokenizers make of texts.json,
// with each of the variants: a file of this folder in which parts are replaced.
//
//   npm install --prefix . --no-save tokenizers@0.23.2 && node golden.mjs
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
const require = createRequire(process.cwd() + "/x.js");
const { Tokenizer } = require("tokenizers");
const read = (name) => JSON.parse(readFileSync(name, "utf8"));
const texts = read("texts.json");
const golden = { library: "tokenizers " + require("tokenizers/package.json").version + " (npm)", variants: {} };
for (const [name, { file, model, ...parts }] of Object.entries(read("variants.json"))) {
  const json = { ...read(file + ".json"), ...parts };
  json.model = { ...json.model, ...model };
  if (json.model.merges === "text") json.model.merges = read(file + ".json").model.merges.map((m) => m.join(" "));
  const t = Tokenizer.fromString(JSON.stringify(json));
  const of = { ids: [], pairs: [], types: [], truncated: [] };
  for (const text of texts) of.ids.push((await t.encode(text, null)).getIds());
  for (let i = 0; i < 8; i++) {
    const e = await t.encode(texts[i], texts[i + 1]);
    of.pairs.push(e.getIds());
    of.types.push(e.getTypeIds());
  }
  t.setTruncation(8);
  for (const text of texts) of.truncated.push((await t.encode(text, null)).getIds());
  golden.variants[name] = of;
}
writeFileSync("golden.json", JSON.stringify(golden, null, 0).replaceAll(',"', ',\n"') + "\n");
