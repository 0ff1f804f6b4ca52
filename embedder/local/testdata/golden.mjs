// Makes a small model with random weights in encoder/, and computes it with
// onnxruntime, in batches with padding, for encoder/golden.json.
//
//   npm install --ignore-scripts onnxruntime-node@1.30.0 && node golden.mjs
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
const ort = createRequire(process.cwd() + "/x.js")("onnxruntime-node");

const H = 32, heads = 4, up = 48, layers = 2, maxPositions = 32, eps = 1e-12;
const vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ..."the a cat dog sat ran on under mat tree fast slow big small red green blue house car road was is and not of in with to by at it he she we they you".split(" ")];

// Random numbers between -1 and 1, the same every time (mulberry32).
let seed = 42;
const random = () => {
  let t = (seed += 0x6d2b79f5);
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
};
const tensors = {};
const tensor = (name, shape, scale, base = 0) => {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => base + scale * random());
  tensors[name] = { shape, data };
};
const linear = (name, out, into) => (tensor(name + ".weight", [out, into], 0.4), tensor(name + ".bias", [out], 0.1));
const norm = (name) => (tensor(name + ".weight", [H], 0.3, 1), tensor(name + ".bias", [H], 0.1));
const B = "bert.embeddings.";
tensor(B + "word_embeddings.weight", [vocabulary.length, H], 1);
tensor(B + "position_embeddings.weight", [maxPositions, H], 0.3);
tensor(B + "token_type_embeddings.weight", [2, H], 0.3);
norm(B + "LayerNorm");
for (let i = 0; i < layers; i++) {
  const L = `bert.encoder.layer.${i}.`;
  for (const n of ["query", "key", "value"]) linear(L + "attention.self." + n, H, H);
  linear(L + "attention.output.dense", H, H);
  norm(L + "attention.output.LayerNorm");
  linear(L + "intermediate.dense", up, H);
  linear(L + "output.dense", H, up);
  norm(L + "output.LayerNorm");
}
linear("bert.pooler.dense", H, H);
linear("classifier", 1, H);

// The files of the model.
const header = {};
let at = 0;
for (const [name, t] of Object.entries(tensors)) {
  header[name] = { dtype: "F32", shape: t.shape, data_offsets: [at, (at += 4 * t.data.length)] };
}
const json = Buffer.from(JSON.stringify(header));
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(json.length));
const bytes = (a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength);
writeFileSync("encoder/model.safetensors", Buffer.concat([length, json, ...Object.values(tensors).map((t) => bytes(t.data))]));
const write = (name, value) => writeFileSync("encoder/" + name, JSON.stringify(value) + "\n");
write("config.json", {
  model_type: "bert", hidden_size: H, num_hidden_layers: layers, num_attention_heads: heads, intermediate_size: up,
  hidden_act: "gelu", max_position_embeddings: maxPositions, type_vocab_size: 2, vocab_size: vocabulary.length, layer_norm_eps: eps,
});
const special = (id, type_id) => ({ SpecialToken: { id, type_id } });
const sequence = (id, type_id) => ({ Sequence: { id, type_id } });
write("tokenizer.json", {
  normalizer: { type: "BertNormalizer", lowercase: true }, pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing", single: [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)],
    pair: [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0), sequence("B", 1), special("[SEP]", 1)],
    special_tokens: { "[CLS]": { ids: [2] }, "[SEP]": { ids: [3] } },
  },
  model: { type: "WordPiece", unk_token: "[UNK]", vocab: Object.fromEntries(vocabulary.map((w, i) => [w, i])) },
});
write("modules.json", [
  { path: "", type: "sentence_transformers.models.Transformer" },
  { path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
  { path: "2_Normalize", type: "sentence_transformers.models.Normalize" },
]);
write("1_Pooling/config.json", { word_embedding_dimension: H, pooling_mode_cls_token: false, pooling_mode_mean_tokens: true });

// The same model as an ONNX graph: protobuf by hand, field by field.
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
const nodes = [], initial = [];
const constant = (name, shape, data) => {
  initial.push(blob(5, ...shape.map((d) => int(1, d)), int(2, data instanceof BigInt64Array ? 7 : 1), blob(8, name), blob(9, bytes(data))));
  return name;
};
let count = 0;
const scalar = (x) => constant("c" + count++, [], Float32Array.of(x));
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
const layerNorm = (x, name) => op("LayerNormalization", [x, weight(name + ".weight"), weight(name + ".bias")], { axis: -1, epsilon: eps });
const sum = (a, b) => op("Add", [a, b]), product = (a, b) => op("Mul", [a, b]);
const positions = op("Sub", [op("CumSum", ["attention_mask", constant("axis", [], BigInt64Array.of(1n))]), constant("one", [], BigInt64Array.of(1n))]);
const embedded = [["word", "input_ids"], ["position", positions], ["token_type", "token_type_ids"]].map(([n, i]) => op("Gather", [weight(B + n + "_embeddings.weight"), i]));
let x = layerNorm(sum(sum(embedded[0], embedded[1]), embedded[2]), B + "LayerNorm");
const padding = product(op("Sub", [scalar(1), op("Cast", [op("Unsqueeze", ["attention_mask", ints(1, 2)])], { to: 1 })]), scalar(-1e9));
for (let i = 0; i < layers; i++) {
  const L = `bert.encoder.layer.${i}.`;
  const split = (n, perm) => op("Transpose", [op("Reshape", [dense(x, L + "attention.self." + n), ints(0, 0, heads, H / heads)])], { perm });
  const scores = product(op("MatMul", [split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])]), scalar(1 / Math.sqrt(H / heads)));
  const mixed = op("MatMul", [op("Softmax", [sum(scores, padding)], { axis: -1 }), split("value", [0, 2, 1, 3])]);
  const context = op("Reshape", [op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), ints(0, 0, H)]);
  x = layerNorm(sum(x, dense(context, L + "attention.output.dense")), L + "attention.output.LayerNorm");
  const u = dense(x, L + "intermediate.dense");
  const gelu = product(product(u, scalar(0.5)), sum(scalar(1), op("Erf", [op("Div", [u, scalar(Math.SQRT2)])])));
  x = layerNorm(sum(x, dense(gelu, L + "output.dense")), L + "output.LayerNorm");
}
const states = op("Identity", [x], {}, "last_hidden_state");
const first = op("Gather", [states, constant("zero", [], BigInt64Array.of(0n))], { axis: 1 });
op("Identity", [dense(op("Tanh", [dense(first, "bert.pooler.dense")]), "classifier")], {}, "logits");
const value = (field, name, type, ...dims) => blob(field, blob(1, name), blob(2, blob(1, int(1, type), blob(2, ...dims.map((d) => blob(1, blob(2, d)))))));
const graph = blob(7, ...nodes, blob(2, "bert"), ...initial,
  ...["input_ids", "attention_mask", "token_type_ids"].map((n) => value(11, n, 7, "b", "s")), value(12, "last_hidden_state", 1, "b", "s", "h"), value(12, "logits", 1, "b", "o"));
const file = Buffer.concat([int(1, 8), graph, blob(8, blob(1, ""), int(2, 17))]);
writeFileSync("encoder/model.onnx", file);
const session = await ort.InferenceSession.create(file, { graphOptimizationLevel: "disabled" });

// run computes inputs as one batch, padded to the longest.
const ids = (text) => text.split(" ").filter(Boolean).map((w) => Math.max(1, vocabulary.indexOf(w)));
async function run(inputs) {
  const S = Math.max(...inputs.map((i) => i.ids.length));
  const fill = (f) => new ort.Tensor("int64", BigInt64Array.from(inputs.flatMap((i) => Array.from({ length: S }, (_, s) => BigInt(f(i, s))))), [inputs.length, S]);
  return session.run({ input_ids: fill((i, s) => i.ids[s] ?? 0), token_type_ids: fill((i, s) => i.types[s] ?? 0), attention_mask: fill((i, s) => (s < i.ids.length ? 1 : 0)) });
}
const texts = ["the cat sat on the mat", "dog", "", "a big red house by the road was slow and the small green car ran fast under it", "zebra of the tree"];
const single = texts.map((t) => [2, ...ids(t), 3]);
const out = (await run(single.map((ids) => ({ ids, types: ids.map(() => 0) })))).last_hidden_state;
const S = out.dims[1];
const unit = (v) => v.map((y) => y / Math.hypot(...v));
const state = (i, s) => Array.from(out.data.slice((i * S + s) * H, (i * S + s + 1) * H));
const mean = single.map((t, i) => unit(Array.from({ length: H }, (_, h) => t.reduce((y, _, s) => y + state(i, s)[h], 0))));
const cls = single.map((_, i) => unit(state(i, 0)));
const query = "where is the cat";
const pairs = texts.map((t) => ({ ids: [2, ...ids(query), 3, ...ids(t), 3], types: [...Array(ids(query).length + 2).fill(0), ...Array(ids(t).length + 1).fill(1)] }));
const scores = Array.from((await run(pairs)).logits.data, (y) => 1 / (1 + Math.exp(-y)));
write("golden.json", { texts, mean, cls, query, scores });
