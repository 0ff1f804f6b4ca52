// Makes small models with random weights, each in a folder of its own, and
// computes them with onnxruntime, in batches with padding, for their
// golden.json. README.md says more.
//
//   npm install --prefix . --no-save --ignore-scripts onnxruntime-node@1.30.0 tokenizers@0.23.2 && node golden.mjs
//
// "node golden.mjs speed FOLDER" makes a model in the shape of MiniLM-L6 instead,
// for benchmarks.
import { createRequire } from "node:module";
import { mkdirSync, writeFileSync } from "node:fs";
const require = createRequire(process.cwd() + "/x.js");
const ort = require("onnxruntime-node");
const { Tokenizer, byteLevelAlphabet } = require("tokenizers");

// Random numbers between -1 and 1, the same every time (mulberry32).
let seed = 42;
const random = () => {
  let t = (seed += 0x6d2b79f5);
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
};
const bytes = (a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength);

// weights returns all tensors of a model.
function weights(m) {
  const tensors = {};
  const tensor = (name, shape, scale, base = 0) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => base + scale * random());
    tensors[name] = { shape, data };
  };
  const linear = (name, out, into) => (tensor(name + ".weight", [out, into], 0.4), tensor(name + ".bias", [out], 0.1));
  const norm = (name) => (tensor(name + ".weight", [m.H], 0.3, 1), tensor(name + ".bias", [m.H], 0.1));
  const E = m.prefix + "embeddings.";
  tensor(E + "word_embeddings.weight", [m.vocabulary, m.H], 1);
  tensor(E + "position_embeddings.weight", [m.positions, m.H], 0.3);
  tensor(E + "token_type_embeddings.weight", [m.types, m.H], 0.3);
  norm(E + "LayerNorm");
  for (let i = 0; i < m.layers; i++) {
    const L = `${m.prefix}encoder.layer.${i}.`;
    for (const n of ["query", "key", "value"]) linear(L + "attention.self." + n, m.H, m.H);
    linear(L + "attention.output.dense", m.H, m.H);
    norm(L + "attention.output.LayerNorm");
    linear(L + "intermediate.dense", m.up, m.H);
    linear(L + "output.dense", m.H, m.up);
    norm(L + "output.LayerNorm");
  }
  linear(m.dense, m.H, m.H);
  linear(m.out, 1, m.H);
  return tensors;
}

function safetensors(tensors) {
  const header = {};
  let at = 0;
  for (const [name, t] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape: t.shape, data_offsets: [at, (at += 4 * t.data.length)] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...Object.values(tensors).map((t) => bytes(t.data))]);
}

// Protobuf by hand, field by field.
const varint = (n) => {
  const out = [];
  for (n = BigInt(n); n > 127n; n >>= 7n) out.push(Number(n & 127n) | 128);
  return Buffer.from([...out, Number(n)]);
};
const int = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const blob = (field, ...parts) => {
  const b = Buffer.concat(parts.map((p) => (typeof p === "string" ? Buffer.from(p) : p)));
  return Buffer.concat([varint((field << 3) | 2), varint(b.length), b]);
};
const float = (field, x) => Buffer.concat([varint((field << 3) | 5), bytes(Float32Array.of(x))]);

// graph returns the model as an ONNX file, with states and logits.
function graph(m, tensors) {
  const nodes = [], initial = [];
  const constant = (name, shape, data) => {
    initial.push(blob(5, ...shape.map((d) => int(1, d)), int(2, data instanceof BigInt64Array ? 7 : 1), blob(8, name), blob(9, bytes(data))));
    return name;
  };
  let count = 0;
  const scalar = (x) => constant("c" + count++, [], Float32Array.of(x));
  const whole = (x) => constant("c" + count++, [], BigInt64Array.of(BigInt(x)));
  const ints = (...x) => constant("c" + count++, [x.length], BigInt64Array.from(x.map(BigInt)));
  const op = (type, inputs, attributes = {}, output = "n" + count++) => {
    const encoded = Object.entries(attributes).map(([k, v]) =>
      Array.isArray(v) ? blob(5, blob(1, k), ...v.map((i) => int(8, i)), int(20, 7))
      : k === "epsilon" ? blob(5, blob(1, k), float(2, v), int(20, 1))
      : blob(5, blob(1, k), int(3, v < 0 ? 2n ** 64n + BigInt(v) : v), int(20, 2)));
    nodes.push(blob(1, ...inputs.map((i) => blob(1, i)), blob(2, output), blob(4, type), ...encoded));
    return output;
  };
  const weight = (name) => constant(name, tensors[name].shape, tensors[name].data);
  const dense = (x, name) => op("Add", [op("MatMul", [x, op("Transpose", [weight(name + ".weight")], { perm: [1, 0] })]), weight(name + ".bias")]);
  const layerNorm = (x, name) => op("LayerNormalization", [x, weight(name + ".weight"), weight(name + ".bias")], { axis: -1, epsilon: m.eps });
  const sum = (a, b) => op("Add", [a, b]), product = (a, b) => op("Mul", [a, b]);
  const activations = {
    gelu: (u) => product(product(u, scalar(0.5)), sum(scalar(1), op("Erf", [op("Div", [u, scalar(Math.SQRT2)])]))),
    gelu_new: (u) => product(product(u, scalar(0.5)), sum(scalar(1), op("Tanh", [product(scalar(Math.sqrt(2 / Math.PI)), sum(u, product(scalar(0.044715), op("Pow", [u, scalar(3)]))))]))),
    relu: (u) => op("Relu", [u]),
  };
  const E = m.prefix + "embeddings.";
  const lookup = (name, ids) => op("Gather", [weight(E + name + "_embeddings.weight"), ids]);
  const position = op("Add", [op("CumSum", ["attention_mask", whole(1)]), whole(m.first - 1)]);
  const type = m.types > 1 ? lookup("token_type", "token_type_ids") : weight(E + "token_type_embeddings.weight");
  let x = layerNorm(sum(sum(lookup("word", "input_ids"), lookup("position", position)), type), E + "LayerNorm");
  const padding = product(op("Sub", [scalar(1), op("Cast", [op("Unsqueeze", ["attention_mask", ints(1, 2)])], { to: 1 })]), scalar(-1e9));
  for (let i = 0; i < m.layers; i++) {
    const L = `${m.prefix}encoder.layer.${i}.`;
    const split = (n, perm) => op("Transpose", [op("Reshape", [dense(x, L + "attention.self." + n), ints(0, 0, m.heads, m.H / m.heads)])], { perm });
    const scores = product(op("MatMul", [split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])]), scalar(1 / Math.sqrt(m.H / m.heads)));
    const mixed = op("MatMul", [op("Softmax", [sum(scores, padding)], { axis: -1 }), split("value", [0, 2, 1, 3])]);
    const context = op("Reshape", [op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), ints(0, 0, m.H)]);
    x = layerNorm(sum(x, dense(context, L + "attention.output.dense")), L + "attention.output.LayerNorm");
    x = layerNorm(sum(x, dense(activations[m.act](dense(x, L + "intermediate.dense")), L + "output.dense")), L + "output.LayerNorm");
  }
  const states = op("Identity", [x], {}, "last_hidden_state");
  const first = op("Gather", [states, whole(0)], { axis: 1 });
  op("Identity", [dense(op("Tanh", [dense(first, m.dense)]), m.out)], {}, "logits");
  const value = (field, name, type, ...dims) => blob(field, blob(1, name), blob(2, blob(1, int(1, type), blob(2, ...dims.map((d) => blob(1, blob(2, d)))))));
  const inputs = ["input_ids", "attention_mask", ...(m.types > 1 ? ["token_type_ids"] : [])];
  const body = blob(7, ...nodes, blob(2, m.type), ...initial, ...inputs.map((n) => value(11, n, 7, "b", "s")),
    value(12, "last_hidden_state", 1, "b", "s", "h"), value(12, "logits", 1, "b", "o"));
  return Buffer.concat([int(1, 8), body, blob(8, blob(1, ""), int(2, 17))]);
}

// compute makes of texts what onnxruntime does in one batch, padded to the
// longest, and what each pooling makes of its states.
async function compute(m, file, texts, query) {
  const session = await ort.InferenceSession.create(file, { graphOptimizationLevel: "disabled" });
  const tokens = Tokenizer.fromString(JSON.stringify(m.tokenizer));
  const run = async (inputs) => {
    const S = Math.max(...inputs.map((e) => e.getIds().length));
    const fill = (f) => new ort.Tensor("int64", BigInt64Array.from(inputs.flatMap((e) => Array.from({ length: S }, (_, s) => BigInt(f(e, s))))), [inputs.length, S]);
    const feeds = { input_ids: fill((e, s) => e.getIds()[s] ?? m.padding), attention_mask: fill((e, s) => (s < e.getIds().length ? 1 : 0)) };
    if (m.types > 1) feeds.token_type_ids = fill((e, s) => e.getTypeIds()[s] ?? 0);
    return { S, ...(await session.run(feeds)) };
  };
  const single = await Promise.all(texts.map((t) => tokens.encode(t, null)));
  const { S, last_hidden_state } = await run(single);
  const unit = (v) => v.map((y) => y / Math.hypot(...v));
  const state = (i, s) => Array.from(last_hidden_state.data.slice((i * S + s) * m.H, (i * S + s + 1) * m.H));
  const lengths = single.map((e) => e.getIds().length);
  const sumOf = (i) => Array.from({ length: m.H }, (_, h) => Array.from({ length: lengths[i] }, (_, s) => state(i, s)[h]).reduce((a, b) => a + b));
  const pairs = await run(await Promise.all(texts.map((t) => tokens.encode(query, t))));
  return {
    mean: texts.map((_, i) => unit(sumOf(i))), cls: texts.map((_, i) => unit(state(i, 0))), last: texts.map((_, i) => unit(state(i, lengths[i] - 1))),
    scores: Array.from(pairs.logits.data, (y) => 1 / (1 + Math.exp(-y))),
  };
}

// make writes the folder of a model. others are activations with which the
// same weights are computed as well.
async function make(dir, m, texts, query, others = []) {
  mkdirSync(dir + "/1_Pooling", { recursive: true });
  const write = (name, value) => writeFileSync(`${dir}/${name}`, JSON.stringify(value) + "\n");
  const tensors = weights(m);
  const file = graph(m, tensors);
  writeFileSync(dir + "/model.safetensors", safetensors(tensors));
  writeFileSync(dir + "/model.onnx", file);
  write("tokenizer.json", m.tokenizer);
  write("config.json", {
    model_type: m.type, hidden_size: m.H, num_hidden_layers: m.layers, num_attention_heads: m.heads, intermediate_size: m.up, hidden_act: m.act,
    max_position_embeddings: m.positions, type_vocab_size: m.types, vocab_size: m.vocabulary, layer_norm_eps: m.eps, pad_token_id: m.padding,
  });
  write("modules.json", [
    { path: "", type: "sentence_transformers.models.Transformer" },
    { path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
    { path: "2_Normalize", type: "sentence_transformers.models.Normalize" },
  ]);
  write("1_Pooling/config.json", { word_embedding_dimension: m.H, pooling_mode_cls_token: false, pooling_mode_mean_tokens: true });
  const golden = {
    libraries: ["onnxruntime-node", "tokenizers"].map((n) => `${n} ${require(n + "/package.json").version}`).join(", "),
    texts, query, ...(await compute(m, file, texts, query)), activations: {},
  };
  for (const act of others) golden.activations[act] = (await compute(m, graph({ ...m, act }, tensors), texts, query)).mean;
  write("golden.json", golden);
}

const special = (id, type_id) => ({ SpecialToken: { id, type_id } });
const sequence = (id, type_id) => ({ Sequence: { id, type_id } });
const added = (tokens, vocab) => tokens.map((content) => ({ id: vocab[content], content, special: true, normalized: false, single_word: false, lstrip: content === "<mask>", rstrip: false }));
const numbered = (tokens) => Object.fromEntries(tokens.map((t, i) => [t, i]));

const bertTokenizer = (words) => ({
  normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }, pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing", single: [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)],
    pair: [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0), sequence("B", 1), special("[SEP]", 1)],
    special_tokens: { "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] }, "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] } },
  },
  model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100, vocab: numbered(words) },
});
const bert = { type: "bert", prefix: "bert.", first: 0, padding: 0, types: 2, eps: 1e-12, act: "gelu", dense: "bert.pooler.dense", out: "classifier" };

if (process.argv[2] === "speed") {
  const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ...Array.from({ length: 96 }, (_, i) => "w" + i)];
  await make(process.argv[3], { ...bert, H: 384, heads: 12, up: 1536, layers: 6, positions: 512, vocabulary: words.length, tokenizer: bertTokenizer(words) }, ["w1 w2"], "w3");
  process.exit();
}

const bertWords = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ..."the a cat dog sat ran on under mat tree fast slow big small red green blue house car road was is and not of in with to by at it he she we they you".split(" ")];
await make("encoder", {
  ...bert, H: 32, heads: 4, up: 48, layers: 2, positions: 32, vocabulary: bertWords.length, tokenizer: bertTokenizer(bertWords),
}, ["the cat sat on the mat", "dog", "", "a big red house by the road was slow and the small green car ran fast under it", "zebra of the tree"], "where is the cat", ["gelu_new", "relu"]);

// RoBERTa: byte-level BPE, positions behind that of padding, one type, and a
// classifier without pooler.
const specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
const merges = ["t h", "th e", "\u0120 the", "i n", "e r", "\u0120 c", "a t"];
const robertaWords = numbered([...specials, ...byteLevelAlphabet().sort(), ...merges.map((m) => m.replace(" ", ""))]);
await make("roberta", {
  type: "roberta", prefix: "roberta.", H: 16, heads: 2, up: 24, layers: 2, positions: 66, first: 2, padding: 1, types: 1, eps: 1e-5, act: "gelu",
  vocabulary: Object.keys(robertaWords).length, dense: "classifier.dense", out: "classifier.out_proj",
  tokenizer: {
    added_tokens: added(specials, robertaWords), pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true },
    post_processor: { type: "RobertaProcessing", cls: ["<s>", 0], sep: ["</s>", 2], trim_offsets: true, add_prefix_space: false },
    model: { type: "BPE", vocab: robertaWords, merges: merges.map((m) => m.split(" ")) },
  },
}, ["the cat sat in there", "Caf\u00e9, \u6771\u4eac!", "", "a  <mask> or two\n"], "the other cat");

// XLM-R: Unigram, and no prefix before the names of tensors.
const pieces = [["<s>", 0], ["<pad>", 0], ["</s>", 0], ["<unk>", 0], ..."\u2581the \u2581c at \u2581 t h e a s o n i".split(" ").map((p, i) => [p, -2 - i / 4]), ["<mask>", 0]];
await make("xlm-roberta", {
  type: "xlm-roberta", prefix: "", H: 16, heads: 4, up: 24, layers: 1, positions: 40, first: 2, padding: 1, types: 1, eps: 1e-5, act: "gelu",
  vocabulary: pieces.length, dense: "classifier.dense", out: "classifier.out_proj",
  tokenizer: {
    added_tokens: added(specials, numbered(pieces.map((p) => p[0]))), pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always", split: true },
    post_processor: {
      type: "TemplateProcessing", single: [special("<s>", 0), sequence("A", 0), special("</s>", 0)],
      pair: [special("<s>", 0), sequence("A", 0), special("</s>", 0), special("</s>", 0), sequence("B", 0), special("</s>", 0)],
      special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] }, "</s>": { id: "</s>", ids: [2], tokens: ["</s>"] } },
    },
    model: { type: "Unigram", unk_id: 3, vocab: pieces },
  },
}, ["the cat sat", "on", "", "that hat is in a tin <mask> \u00fc"], "is the cat in");
