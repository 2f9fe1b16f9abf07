import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import * as mq from '../lib/index.js';
import { call, native } from '../lib/native.js';

const folder = mkdtempSync(join(tmpdir(), 'mono-quant-'));
after(() => rmSync(folder, { recursive: true }));

// Two rows of 512 that start with 1.27, which is 127 steps of 0.01, and end with a step.
const weight = Float32Array.from({ length: 1024 }, (_, i) => (i % 512 === 0 ? 1.27 : i % 512 === 511 ? -0.01 : 0));
const tensor = (values = weight, shape = [2, 512]) => mq.Tensor.from(shape, values);
const oneWeight = () => mq.Model.fromTensors({ 'fc.weight': tensor() });
const thrown = new Error('thrown in a callback');
const fails = () => { throw thrown; };
const isThrown = (error) => error === thrown;

test('a checkpoint of tensors is quantized and comes back', async () => {
  const { model, report } = await oneWeight().quantize();
  assert.deepEqual(model.tensorNames.sort(), ['fc.weight', 'fc.weight_scale']);
  const codes = await model.tensor('fc.weight');
  assert.equal(codes.dtype, 'I8');
  assert.deepEqual(codes.shape, [2, 512]);
  assert.deepEqual([...codes.values().subarray(510, 514)], [0, -1, 127, 0]);
  assert.ok(report.number('sqnr_db') > 100);
  assert.equal(report.number('no such number'), undefined);
  assert.equal(report.layerText(0, 'name'), 'fc');
  assert.equal(report.toJSON().layers.length, 1);
  assert.ok(Math.abs((await model.weight('fc.weight')).values()[0] - 1.27) < 1e-6);
});

test('layers are told', async () => {
  const model = mq.Model.fromLayers([
    { name: 'w', tensor: tensor(), kind: 'Linear' }, { name: 'v', tiedTo: 'w' }, { name: 'b', tensor: tensor(), kind: '' }]);
  const [w, b] = await model.layers({ config: { layers: [{ name: 'w', dtype: 'qint4' }] } });
  assert.equal(w.kind, 'Linear');
  assert.match(w.scheme, /^int4/);
  assert.deepEqual(w.ties, ['v']);
  assert.equal(b.action, 'copy');
});

test('errors say what to do', async () => {
  await assert.rejects(mq.Model.open('missing'), { name: 'MonoQuantError', code: 'NOT_FOUND', status: 3, subject: 'missing' });
  assert.throws(() => new mq.Config({ bitz: 4 }), { code: 'CONFIG', suggestion: "did you mean 'bits'?", subject: 'bitz' });
  assert.throws(() => mq.Tensor.from([3], new Float32Array(2)), { code: 'SHAPE' });
  assert.throws(() => mq.Tensor.from([1], new Float32Array(1), 'F33'), TypeError);
});

test('settings have their places', () => {
  const options = { config: { bits: 4, group_size: 32 }, call: { group_size: 64, layers: [{ name: 'head', group_size: 128 }] } };
  assert.deepEqual(mq.resolve('bits', options), { value: '4', source: 'config' });
  assert.deepEqual(mq.resolve('group_size', options), { value: '64', source: 'call' });
  assert.deepEqual(mq.resolve('group_size', { ...options, layer: 'head' }), { value: '128', source: 'call layers' });
  assert.ok(mq.listKeys().some(({ key }) => key === 'group_size'));
});

test('what is closed cannot be used, and closing waits for calls', async () => {
  const model = oneWeight();
  const job = model.quantize();
  model.close();
  model.close();
  assert.equal((await job).model.tensorNames.length, 2);
  assert.throws(() => model.tensorNames, TypeError);
});

test('what is forgotten is freed', async () => {
  for (let i = 0; i < 200; i += 1) await oneWeight().quantize({ progress() {} });
  globalThis.gc?.();
  await new Promise(setImmediate);
  assert.equal((await oneWeight().quantize()).model.tensorNames.length, 2);
});

test('what callbacks throw comes out of the call', async () => {
  for (const options of [{ progress: fails }, { observer: fails }]) {
    await assert.rejects(oneWeight().quantize(options), isThrown);
    await assert.rejects(oneWeight().save(join(folder, 'never.safetensors'), options), isThrown);
  }
  // A message stops nothing: this job ends well, but for what its log threw.
  const model = mq.Model.fromTensors({ 'fc.weight': tensor(weight.map((_, i) => Math.sin(i))) });
  const config = { sqnr_warning_db: 200 };
  const messages = [];
  await model.quantize({ config, log: (level, message) => messages.push([level, message]) });
  assert.equal(messages[0][0], 'WARNING');
  await assert.rejects(model.quantize({ config, log: fails }), isThrown);
});

test('false and an AbortSignal stop a job', async () => {
  await assert.rejects(oneWeight().quantize({ progress: () => false }), { code: 'CANCELLED' });
  await assert.rejects(oneWeight().quantize({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  const controller = new AbortController();
  const stopped = oneWeight().quantize({ signal: controller.signal, progress: () => controller.abort(thrown) });
  await assert.rejects(stopped, isThrown);
});

test('readers and writers give the bytes of files', async () => {
  const path = join(folder, 'out.safetensors');
  const { model } = await oneWeight().quantize();
  await model.save(path);
  const expected = readFileSync(path);
  assert.ok((await model.saveToMemory()).equals(expected));
  const writer = mq.Writer.toMemory();
  await model.saveToWriter(writer);
  assert.ok(writer.bytes.equals(expected));

  // A member of an archive, from a slow source: read in pieces, behind other bytes.
  const archive = Buffer.concat([Buffer.alloc(1000, 1), expected, Buffer.alloc(1000, 2)]);
  const slow = (offset, size) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    return archive.subarray(1000 + offset, 1000 + offset + size);
  };
  for (const opened of [
    await mq.Model.openMemory(expected), await mq.Model.openReader(new mq.Reader(expected.length, slow))]) {
    const again = mq.Writer.toMemory();
    await opened.saveToWriter(again);
    assert.ok(again.bytes.equals(expected));
    assert.ok((await opened.compare(model)).number('sqnr_db') === Infinity);
  }
});

test('what readers and writers throw comes out of the call', async () => {
  await assert.rejects(mq.Model.openReader(new mq.Reader(100, fails)), isThrown);
  await assert.rejects(mq.Model.openReader(new mq.Reader(100, () => Buffer.alloc(1))), RangeError);
  const bytes = await oneWeight().saveToMemory();
  let isBroken = false;
  const model = await mq.Model.openReader(new mq.Reader(bytes.length, (offset, size) => {
    if (isBroken) fails();
    return bytes.subarray(offset, offset + size);
  }));
  isBroken = true;
  await assert.rejects(model.tensor('fc.weight'), isThrown);
  await assert.rejects(model.quantize(), isThrown);
  isBroken = false;
  assert.equal((await model.quantize()).model.tensorNames.length, 2);

  let aborted = 0;
  const abort = () => { aborted += 1; };
  await assert.rejects(model.saveToWriter(new mq.Writer({ write: fails, abort })), isThrown);
  await assert.rejects(model.saveToWriter(new mq.Writer({ write() {}, commit: fails, abort })), isThrown);
  assert.equal(aborted, 2);
});

test('the event loop goes on while jobs run, any number at once', async () => {
  let ticks = 0;
  const timer = setInterval(() => { ticks += 1; }, 1);
  const big = mq.Model.fromTensors({ 'fc.weight': tensor(new Float32Array(1 << 20).fill(0.5), [1024, 1024]) });
  const files = await Promise.all(Array.from({ length: 8 }, async () => {
    const writer = mq.Writer.toMemory();
    await big.quantizeToWriter(writer, { config: { bits: 4 } });
    return writer.bytes;
  }));
  clearInterval(timer);
  assert.ok(files.every((file) => file.equals(files[0])));
  assert.ok(ticks > 0);
});

test('one tensor alone', async () => {
  const { parts, report } = await mq.quantizeTensor(tensor(), { name: 'x.weight', config: { bits: 4, group_size: 128 } });
  assert.deepEqual([...parts].map(([name]) => name)[0], 'x.weight_packed');
  assert.equal(report.layerText(0, 'name'), 'x');
  const restored = await mq.dequantizeTensor(parts);
  assert.deepEqual([restored.dtype, restored.shape], ['F32', [2, 512]]);
});

test('values go there and back', () => {
  const values = mq.Values.from({ a: 1, b: 1.5, c: true, d: 'text', e: null, f: tensor(), g: 2n ** 60n, h: { float: 2 } });
  const back = Object.fromEntries(values);
  assert.deepEqual({ ...back, f: back.f.shape }, { a: 1, b: 1.5, c: true, d: 'text', e: null, f: [2, 512], g: 2n ** 60n, h: 2 });
});

test('files', async () => {
  const [input, output] = ['input', 'output'].map((name) => join(folder, `größe-${name}.safetensors`));
  await oneWeight().save(input);
  await mq.quantizeFile(input, output, { call: { bits: 8 } });
  assert.equal(await mq.detectFormat(output), 'safetensors');
  assert.equal((await mq.validateFile(output, { original: input })).number('valid'), 1);
  assert.ok((await mq.compareFile(input, output)).number('sqnr_db') > 100);
  await assert.rejects(mq.quantizeFile(input, output), { code: 'IO', subject: output });
});

test('layers run by themselves', async () => {
  const model = oneWeight();
  const layer = await (await model.quantize()).model.linear('fc');
  const rows = tensor(Float32Array.from({ length: 512 }, (_, i) => i / 511), [1, 1, 512]); // 0 to 1
  const outputs = await layer.run(rows);
  assert.deepEqual(outputs.shape, [1, 1, 2]);
  assert.ok(outputs.values().every((value) => Math.abs(value + 0.01) < 1e-3)); // 1.27 x 0 and -0.01 x 1
  assert.equal(layer.describe().output_count, 2);
  const shifted = await mq.Linear.from(tensor(), tensor(Float32Array.of(1, 2), [2]));
  assert.ok(Math.abs((await shifted.run(rows)).values()[1] - 1.99) < 1e-3);
  assert.equal((await shifted.run(rows, { dtype: 'BF16' })).dtype, 'BF16');
  await assert.rejects(model.linear('fd'), { code: 'NOT_FOUND' });
  await assert.rejects(layer.run(tensor(weight.subarray(0, 64), [1, 64])), { code: 'SHAPE' });
});

test('an embedding gathers rows', async () => {
  const embedding = await oneWeight().embedding('fc');
  const rows = await embedding.run(mq.Tensor.from([3, 1], BigInt64Array.of(1n, 0n, 1n)));
  assert.deepEqual(rows.shape, [3, 1, 512]);
  assert.deepEqual(rows.values().subarray(0, 1024), weight);
  assert.equal(embedding.describe().row_count, 2);
  await assert.rejects(embedding.run(mq.Tensor.from([1], BigInt64Array.of(2n))), { code: 'INVALID_ARG' });
});

test('every function of C can be called', () => {
  const sqnr = call('kernel_sqnr', Float32Array.of(0.5, 0, 0), Float32Array.of(0.5, 0.05, 0), 3);
  assert.ok(Math.abs(sqnr - 20) < 1e-4); // 10 log10(0.25 / 0.0025)
  const packed = new Uint8Array(2);
  call('kernel_pack_int4', Int8Array.of(-8, 7, 0), 3, packed);
  assert.deepEqual([...packed], [0xf0, 0x08]);
  assert.equal(native.status_name(3), 'NOT_FOUND');
  assert.ok(mq.listCapabilities().schemes.length > 0);
  assert.equal(mq.buildInfo().version, mq.version());
});

test('a program ends, whatever it left open', () => {
  const script = `
    import * as mq from ${JSON.stringify(new URL('../lib/index.js', import.meta.url).href)};
    globalThis.left = [new mq.Reader(8, () => Buffer.alloc(8)), mq.Writer.toMemory(), new mq.Config()];
    mq.setLog(() => {});
    await mq.Model.openReader(left[0]).catch((error) => console.log(error.code));`;
  assert.equal(execFileSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 30000 }).toString(), 'FORMAT\n');
});
