// Writes bytelevel.json and sentencepiece.json: small BPE models, trained by
// Hugging Face's own tokenizers on the words of wordpiece.json and the texts.
// Their IDs change if it is run again with other texts: then run golden.mjs.
//
//   npm install --prefix . --no-save tokenizers@0.23.2 && node vocabularies.mjs
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
const lib = createRequire(process.cwd() + "/x.js")("tokenizers");

const merges = 700;
const words = Object.keys(JSON.parse(readFileSync("wordpiece.json", "utf8")).model.vocab).map((w) => w.replace(/^##/, ""));
const texts = JSON.parse(readFileSync("texts.json", "utf8")).join("\n");
const temp = mkdtempSync(tmpdir() + "/bpe");
writeFileSync(temp + "/corpus", [words.join(" "), words.join(" the "), texts, texts].join("\n"));

// write keeps the first merges, what they make, and the alphabet.
function write(name, pre, first, alphabet, model, rest) {
  const t = new lib.Tokenizer(lib.BPE.empty());
  t.setPreTokenizer(pre);
  t.train([temp + "/corpus"]);
  t.save(temp + "/trained.json");
  const trained = JSON.parse(readFileSync(temp + "/trained.json", "utf8")).model;
  const tokens = new Set([...first, ...alphabet(Object.keys(trained.vocab).filter((k) => [...k].length === 1))]);
  const kept = trained.merges.slice(0, merges).filter((m) => m.every((part) => tokens.has(part)) && tokens.add(m.join("")));
  const vocab = Object.fromEntries([...tokens].map((k, i) => [k, i]));
  const special = first.filter((k) => /^<[^0]/.test(k)).map((content) => ({
    id: vocab[content], content, special: true, normalized: false, single_word: false, lstrip: content === "<mask>", rstrip: false,
  }));
  writeFileSync(name, JSON.stringify({ version: "1.0", added_tokens: special, ...rest, model: { type: "BPE", ...model, vocab, merges: kept } }));
}
const specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
write("bytelevel.json", lib.byteLevelPreTokenizer(false), specials, () => lib.byteLevelAlphabet().sort(), {}, {
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true },
  post_processor: { type: "RobertaProcessing", cls: ["<s>", 0], sep: ["</s>", 2], trim_offsets: true, add_prefix_space: false },
});
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
write("sentencepiece.json", lib.metaspacePreTokenizer(), [...specials, ...bytes], (seen) => seen.filter((c) => c < "\u0250" || c === "\u2581").sort(), {
  unk_token: "<unk>", byte_fallback: true, fuse_unk: true,
}, { normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, { type: "Replace", pattern: { String: " " }, content: "\u2581" }] } });
rmSync(temp, { recursive: true });
