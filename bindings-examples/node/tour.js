#!/usr/bin/env node
// The whole library in one program; what each line says is in the README of all languages.
//
//     node tour.js model.safetensors model-int4.safetensors bits=4 group_size=128
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import * as mq from './lib/index.js';

const print = (line) => console.log(line);
const shapeText = (shape) => `[${shape.join(', ')}]`;
const tensorText = (tensor) => `${tensor.dtype} ${shapeText(tensor.shape)}`;

function sqnrText(report) {
  const sqnrDb = report.number('sqnr_db');
  if (sqnrDb === undefined) return 'none';
  return sqnrDb === Infinity ? 'exact' : `${sqnrDb.toFixed(2)} dB`;
}

// Prints the layers, and gives back the first that is quantized.
async function listLayers(model, options) {
  const layers = (await model.layers(options)).filter((layer) => layer.kind !== '');
  for (const { name, kind, shape, action, scheme, reason } of layers) {
    print(`layer ${name} ${kind} ${shapeText(shape)} ${action === 'copy' ? `as it is: ${reason}` : scheme}`);
  }
  return layers.find((layer) => layer.action === 'quantize');
}

function printSettings(options) {
  for (const key of ['dtype', 'bits', 'group_size', 'symmetric', 'threads']) {
    const { value, source } = mq.resolve(key, options);
    if (key === 'threads' && source === 'default') continue; // a matter of the machine
    print(`setting ${key} = ${value} (${source})`);
  }
}

async function quantize(model, options) {
  const events = { quantized: 0, copied: 0 };
  const progress = [];
  const { model: quantized, report } = await model.quantize({
    ...options,
    observer({ action }) {
      events[action === 'copy' ? 'copied' : 'quantized'] += 1;
    },
    progress(doneBytes) {
      progress.push(doneBytes);
    },
  });
  print(`events ${events.quantized} quantized, ${events.copied} copied`);
  print(`progress ${progress[0]} to ${progress.at(-1)}`);
  print(`report ${report.number('bytes_before')} to ${report.number('bytes_after')} bytes, SQNR ${sqnrText(report)}, ${
    report.warnings.length} warnings`);
  return quantized;
}

async function useReader(path, size) {
  const file = openSync(path);
  const reader = new mq.Reader(size, (offset, length) => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
  });
  const model = await mq.Model.openReader(reader);
  print(`reader ${model.tensorNames.length} tensors`);
  model.close();
  closeSync(file);
}

async function save(model, path, options) {
  await model.save(path, options);
  const format = await mq.detectFormat(path);
  const status = statSync(path);
  if (status.isDirectory()) return print(`saved a folder, format ${format}`);
  print(`saved ${status.size} bytes, format ${format}`);
  const writer = mq.Writer.toMemory();
  await model.saveToWriter(writer, { call: { format, threads: 1 } });
  print(`writer ${writer.bytes.equals(readFileSync(path)) ? 'the same' : 'other'} bytes`);
  return useReader(path, status.size);
}

async function printDifference(model, saved) {
  const report = await model.compare((await saved.dequantize()).model);
  const sqnrs = Array.from({ length: report.layerCount }, (_, i) => report.layerNumber(i, 'sqnr_db'));
  print(`back SQNR ${sqnrText(report)}, ${sqnrs.filter(Number.isFinite).length} tensors differ`);
}

async function quantizeAlone(model, { name, tensor, kind }, options) {
  const { parts, report } = await mq.quantizeTensor(await model.tensor(tensor), { name: tensor, kind, ...options });
  const count = [...parts].filter(([, value]) => value instanceof mq.Tensor).length;
  const restored = await mq.dequantizeTensor(parts);
  print(`alone ${name} ${count} parts, SQNR ${sqnrText(report)}, restored ${tensorText(restored)}`);
}

// A row of activations, made up, through the layer in integers. Not every layer can be run so: the code says it.
async function linearText(saved, { name, shape }) {
  try {
    const linear = await saved.linear(name);
    const row = Float32Array.from({ length: shape[1] }, (_, i) => (i % 7 - 3) / 4);
    const outputs = await linear.run(mq.Tensor.from([1, row.length], row));
    return `${outputs.shape[1]} outputs, first 0x${outputs.bytes().readUInt32LE().toString(16).padStart(8, '0')}`;
  } catch (error) {
    return error.code ?? Promise.reject(error);
  }
}

// The code of what a promise fails with.
const codeOf = (promise) => promise.then(() => 'OK', (error) => error.code);

async function cancel(model, options) {
  const thrown = new Error('what a callback throws comes out of the call');
  const failure = await model.quantize({ config: options.config, progress() { throw thrown; } }).catch((error) => error);
  if (failure !== thrown) throw new Error('what a callback threw was lost');
  print(`cancelled ${await codeOf(model.quantize({ config: options.config, progress: () => false }))}`);
}

// The first image, 0 to 16, as the module wants it: floats from 0 to 1.
async function readImage(path) {
  const images = await (await mq.Model.open(path)).tensor('images');
  return mq.Tensor.from([1, 1, 8, 8], Float32Array.from(images.values().subarray(0, 64), (pixel) => pixel / 16));
}

async function classify(module, image) {
  const scores = (await module.forward([image])).value(0).values();
  return scores.indexOf(Math.max(...scores));
}

async function digits(modulePath, imagesPath) {
  const image = await readImage(imagesPath);
  const module = await mq.Model.open(modulePath);
  try {
    const ofFloats = await classify(module, image);
    print(`digits float ${ofFloats}, int8 ${await classify((await module.quantize()).model, image)}`);
  } catch (error) {
    if (error.code !== 'UNSUPPORTED') throw error;
    print('digits UNSUPPORTED'); // LibTorch is not there
  }
}

// Those with call: before them are the settings of each job; they are checked here as the others are.
function readSettings(texts) {
  const options = { config: new mq.Config(), call: {} };
  const checked = new mq.Config();
  for (const text of texts) {
    const [, call, key, value] = text.match(/^(call:)?(.*?)=(.*)$/s);
    (call ? checked : options.config).set(key, value);
    if (call) options.call[key] = value;
  }
  return options;
}

async function tour({ input, output, settings, module, images }) {
  const options = readSettings(settings);
  const { major, minor } = mq.abiVersion();
  print(`mono_quant ${mq.version()}, ABI ${major}.${minor}`);
  const format = await mq.detectFormat(input);
  const model = await mq.Model.open(input, options);
  print(`input ${format}, ${model.tensorNames.length} tensors`);
  const layer = await listLayers(model, options);
  printSettings(options);
  await save(await quantize(model, options), output, options);
  const saved = await mq.Model.open(output);
  await printDifference(model, saved);
  if (layer) {
    await quantizeAlone(model, layer, options);
    print(`one ${tensorText(await saved.weight(layer.tensor))}`);
    print(`linear ${await linearText(saved, layer)}`);
  }
  await cancel(model, options);
  print(`missing ${await codeOf(mq.Model.open(`${input}.missing`))}`);
  if (module) await digits(module, images);
}

// undefined where they are wrong.
function readArguments([input, output, ...rest]) {
  const options = { input, output, settings: [] };
  while (rest.length > 0) {
    const argument = rest.shift();
    if (argument === '--digits' && rest.length >= 2) [options.module, options.images] = rest.splice(0, 2);
    else if (argument.includes('=')) options.settings.push(argument);
    else return undefined;
  }
  return output === undefined ? undefined : options;
}

const options = readArguments(process.argv.slice(2));
if (options === undefined) {
  console.error('usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]');
  process.exitCode = 2;
} else {
  await tour(options).catch((error) => {
    console.error(`tour: ${error.message}`);
    if (error.suggestion) console.error(error.suggestion);
    process.exitCode = 1;
  });
}
