import { configOf } from './config.js';
import { Handle } from './handle.js';
import { Embedding, Linear } from './linear.js';
import { address, call, callAsync, nameOf, native, readArray, sizeOf, takeBytes, takeText } from './native.js';
import { pathText } from './path.js';
import { asReport, Report } from './report.js';
import { runConfiguredJob, runJob, runOf } from './run.js';
import { asTensor } from './tensor.js';
import { Values } from './values.js';

/** A checkpoint held open, float or quantized. It never changes. */
export class Model extends Handle {
  #reader; // whose failures are those of calls on this model

  constructor(pointer, reader = null) {
    super(pointer, native.model_free);
    this.#reader = reader;
  }

  /** The file must stay as it is: tensors are read when they are asked for. call: settings, as tensors_key. */
  static async open(path, { call: settings } = {}) {
    return new Model(await callAsync('model_open_with', pathText(path), runOf(settings)));
  }

  /** From a Uint8Array, which is copied. */
  static async openMemory(bytes, { call: settings } = {}) {
    const copy = call('tensor_create', 2, [bytes.length], 1, bytes, bytes.length); // U8
    try {
      return new Model(await callAsync('model_wrap_memory', native.tensor_data(copy), bytes.length, address('tensor_free'),
        copy, runOf(settings)));
    } catch (error) {
      native.tensor_free(copy);
      throw error;
    }
  }

  static async openReader(reader, { call: settings } = {}) {
    const opened = callAsync('model_open_reader', reader, runOf(settings));
    return new Model(await opened.catch((error) => Promise.reject(reader.callbacks.take(error))), reader);
  }

  /** Of named tensors: { 'fc.weight': tensor }. */
  static fromTensors(tensors) {
    const names = Object.keys(tensors);
    const pointers = BigUint64Array.from(names, (name) => tensors[name].pointer);
    return new Model(call('model_from_tensors', names, pointers, names.length));
  }

  /** As fromTensors, where the caller knows the layers: [{ name, tensor, kind, channelAxis, tiedTo }]; see mnq_layer_tensor. */
  static fromLayers(tensors) {
    const entries = tensors.map(({ name, tensor = null, kind = null, channelAxis = -1, tiedTo = null }) => ({
      struct_size: sizeOf('mnq_layer_tensor'), name, tensor: tensor && tensor.pointer, kind, channel_axis: channelAxis,
      tied_to: tiedTo }));
    return new Model(call('model_from_layers', entries, entries.length));
  }

  // What a reader's function threw comes out of the call that failed of it.
  async #of(work) {
    try {
      return await work;
    } catch (error) {
      throw this.#reader?.callbacks.take(error) ?? error;
    }
  }

  #asResult = ([model, report]) => ({ model: new Model(model, this.#reader), report: new Report(report) });

  get tensorNames() {
    return Array.from({ length: native.model_tensor_count(this.pointer) }, (_, i) => native.model_tensor_name(this.pointer, i));
  }
  async tensor(name) {
    return asTensor(await this.#of(callAsync('model_get_tensor', this, name)));
  }
  /** One weight as floats, however it is stored. */
  async weight(name, options = {}) {
    return this.#of(runJob(options, asTensor, 'model_get_float', this, name));
  }
  async describe() {
    return JSON.parse(takeText(await this.#of(callAsync('model_describe', this))));
  }

  /** Every tensor in the model's order: what becomes of it, and why. */
  async layers({ config, call: settings } = {}) {
    const layers = await this.#of(callAsync('model_list_layers', this, configOf(config), runOf(settings)));
    try {
      return Array.from({ length: native.layers_count(layers) }, (_, i) => layerAt(layers, i));
    } finally {
      native.layers_free(layers);
    }
  }

  /** Options of this and all jobs: call (settings of the job), progress, observer, log, signal; here also config. */
  async quantize(options = {}) {
    return this.#of(runConfiguredJob(options, this.#asResult, 'quantize', this));
  }
  async quantizeToFile(path, options = {}) {
    return this.#of(runConfiguredJob(options, asReport, 'quantize_to_file', this, pathText(path)));
  }
  async quantizeToWriter(writer, options = {}) {
    return this.#written(writer, runConfiguredJob(options, asReport, 'quantize_to_writer', this, writer));
  }
  async plan(options = {}) {
    return this.#of(runConfiguredJob(options, asReport, 'plan', this));
  }
  async dequantize(options = {}) {
    return this.#of(runJob(options, this.#asResult, 'dequantize', this));
  }
  async dequantizeToWriter(writer, options = {}) {
    return this.#written(writer, runJob(options, asReport, 'dequantize_to_writer', this, writer));
  }

  async save(path, options = {}) {
    return this.#of(runJob(options, () => {}, 'model_save', this, pathText(path)));
  }
  async saveToMemory(options = {}) {
    return this.#of(runJob(options, takeBytes, 'model_save_memory', this));
  }
  async saveToWriter(writer, options = {}) {
    return this.#written(writer, runJob(options, () => {}, 'model_save_to_writer', this, writer));
  }
  async clone() {
    return new Model(await this.#of(callAsync('model_clone', this)));
  }

  /** The accuracy of each tensor of other against this one's. */
  async compare(other, options = {}) {
    return this.#of(runJob(options, asReport, 'compare', this, other));
  }

  /** The Linear layer of that name, independent of this: with the codes that it has, or quantized as the settings say. */
  async linear(layer, { config, call: settings } = {}) {
    return new Linear(await this.#of(callAsync('linear_create', this, layer, configOf(config), runOf(settings))));
  }
  /** The table of that layer, quantized or not; of a file, rows are read when they are asked for. */
  async embedding(layer) {
    return new Embedding(await this.#of(callAsync('embedding_create', this, layer)), this.#reader);
  }

  /** Runs a method of a module: inputs are a list, or an object by the names of its arguments. */
  async forward(inputs, { method = null, call: settings } = {}) {
    const values = inputs instanceof Values ? inputs : Values.from(inputs);
    return new Values(await this.#of(callAsync('model_forward', this, method, values, runOf(settings))));
  }

  /** Checks a module by saving, loading and running it: problems of the report, number('valid'). */
  async validate({ original = null, inputs = null, ...options } = {}) {
    const values = inputs === null || inputs instanceof Values ? inputs : Values.from(inputs);
    return this.#of(runJob(options, asReport, 'model_validate', this, original, values));
  }

  async #written(writer, work) {
    try {
      return await this.#of(work);
    } catch (error) {
      throw writer.callbacks.take(error);
    }
  }
}

function layerAt(layers, i) {
  const text = (name) => native[`layers_${name}`](layers, i);
  return {
    name: text('name'), tensor: text('tensor'), kind: text('kind'), action: text('action'), scheme: text('scheme'),
    reason: text('reason'), dtype: nameOf('mnq_dtype', native.layers_dtype(layers, i)),
    shape: readArray(native.layers_shape(layers, i), 'int64_t', native.layers_rank(layers, i)),
    ties: Array.from({ length: native.layers_tie_count(layers, i) }, (_, tie) => native.layers_tie(layers, i, tie)),
  };
}
