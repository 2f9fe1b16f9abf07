// The functions of mono_quant.h as they are, and calls of them: outputs come back, a status that is none throws.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';
import { abiVersion, callbacks, enums, functions, opaque, structs } from './declarations.js';
import { MonoQuantError } from './error.js';
import { Handle } from './handle.js';

// Beside this package where it brought one, else where the system's loader looks.
function libraryFile() {
  if (process.env.MONO_QUANT_LIBRARY) return process.env.MONO_QUANT_LIBRARY;
  const file = fileURLToPath(new URL(`../native/${process.platform}-${process.arch}/libmono_quant.so.1`, import.meta.url));
  return existsSync(file) ? file : 'libmono_quant.so.1';
}

for (const name of opaque) koffi.opaque(name);
for (const name of Object.keys(enums)) koffi.alias(name, 'int32_t');
for (const [name, members] of Object.entries(structs)) koffi.struct(name, members);
for (const signature of callbacks) koffi.proto(signature);

const library = koffi.load(libraryFile());

/** Every function of mono_quant.h by its name without mnq_; its arguments marked _Out_ are arrays of one value. */
export const native = Object.fromEntries(functions.map((signature) => {
  const name = signature.match(/\bmnq_(\w+)\(/)[1];
  return [name, library.func(signature)];
}));

/** Names of numbers: nameOf('mnq_dtype', 12) is 'F32'. */
const names = Object.fromEntries(Object.entries(enums).map(([name, values]) => [
  name, new Map(Object.entries(values).map(([key, value]) => [value, key.replace(/^MNQ_(E|DTYPE|LOG|VALUE)_|^MNQ_/, '')]))]));
export const nameOf = (kind, value) => names[kind].get(value) ?? 'UNKNOWN';
export const numberOf = (kind, name) => [...names[kind]].find(([, text]) => text === name)?.[0];

const outputs = new Map(functions.map((signature) => [
  signature.match(/\bmnq_(\w+)\(/)[1], signature.split('_Out_').length - 1]));

function plain(value) {
  return value instanceof Handle ? value.pointer : value;
}

function errorOf(status, pointer) {
  if (pointer === null) return new MonoQuantError(status, nameOf('mnq_status', status), '');
  const error = new MonoQuantError(status, nameOf('mnq_status', status), native.error_message(pointer), {
    suggestion: native.error_suggestion(pointer), subject: native.error_subject(pointer) });
  native.error_free(pointer);
  return error;
}

// What a call gave: nothing, its output, or a list of them. The last output is the error.
function results(status, outs) {
  const values = outs.map(([value]) => value);
  const error = values.pop();
  if (status !== 0) throw errorOf(status, error);
  return values.length <= 1 ? values[0] : values;
}

const makeOutputs = (name) => Array.from({ length: outputs.get(name) }, () => [null]);

/** Calls a function that can fail, its outputs left out: they are what comes back. */
export function call(name, ...inputs) {
  const outs = makeOutputs(name);
  return results(native[name](...inputs.map(plain), ...outs), outs);
}

/** The same on another thread. The handles among the inputs stay until it is done. */
export function callAsync(name, ...inputs) {
  const handles = inputs.filter((input) => input instanceof Handle);
  const outs = makeOutputs(name);
  const pointers = inputs.map(plain);
  handles.forEach((handle) => handle.hold());
  return new Promise((resolve, reject) => {
    native[name].async(...pointers, ...outs, (failure, status) => {
      handles.forEach((handle) => handle.drop());
      if (failure) return reject(failure);
      try {
        resolve(results(status, outs));
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** A C function's address, for arguments that take one. */
export const address = (name) => library.symbol(`mnq_${name}`);

export const sizeOf = (type) => koffi.sizeof(type);

/** A copy of C's bytes. */
export function copyBytes(pointer, size) {
  return size === 0 ? Buffer.alloc(0) : Buffer.from(new Uint8Array(koffi.view(pointer, size)));
}

/** Fills C's memory. */
export function fillBytes(pointer, bytes) {
  new Uint8Array(koffi.view(pointer, bytes.length)).set(bytes);
}

/** C's numbers: readArray(pointer, 'int64_t', 2). */
export const readArray = (pointer, type, count) => (count === 0 ? [] : Array.from(koffi.decode(pointer, type, count), Number));

/** The text of a buffer, which is freed; the bytes with takeBytes. */
export function takeBytes(buffer) {
  const bytes = copyBytes(native.buffer_data(buffer), native.buffer_size(buffer));
  native.buffer_free(buffer);
  return bytes;
}
export const takeText = (buffer) => takeBytes(buffer).toString();

/** A function as C can call it, from any thread: it runs on the main one. Nothing that it throws gets to C. */
export function register(type, callback) {
  return koffi.register(callback, `${type}*`);
}
export const unregister = (pointer) => koffi.unregister(pointer);
