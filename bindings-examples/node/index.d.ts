/// <reference types="node" />

/** Settings as keys and values; listKeys() lists them. Those of layers hold for names, or weights' names, that match. */
export interface Settings {
  [key: string]: string | number | boolean | LayerSettings[] | undefined;
  layers?: LayerSettings[];
}
export interface LayerSettings {
  name: string;
  [key: string]: string | number | boolean;
}

export interface TensorDone {
  index: number;
  count: number;
  layer: string;
  action: 'quantize' | 'cast' | 'copy' | 'dequantize';
  /** NaN where none is measured. */
  sqnrDb: number;
}

export type Log = (level: 'WARNING' | 'INFO', message: string) => void;

/** What every job takes. What a callback throws, and the signal's reason, is what the promise fails with. */
export interface JobOptions {
  /** Settings of this job; they win over the config's. */
  call?: Settings;
  /** false stops the job: it fails with the code 'CANCELLED'. */
  progress?: (doneBytes: number, totalBytes: number) => boolean | void;
  observer?: (done: TensorDone) => boolean | void;
  log?: Log;
  signal?: AbortSignal;
}
export interface QuantizeOptions extends JobOptions {
  config?: Config | Settings | null;
}

export type StatusName =
  | 'INVALID_ARG' | 'CONFIG' | 'NOT_FOUND' | 'IO' | 'FORMAT' | 'UNSUPPORTED' | 'SHAPE' | 'DTYPE' | 'CALIBRATION' | 'VALIDATION'
  | 'CANCELLED' | 'BUFFER_TOO_SMALL' | 'STATE' | 'OUT_OF_MEMORY' | 'TORCH' | 'ABI' | 'INTERNAL';

export class MonoQuantError extends Error {
  readonly code: StatusName;
  readonly status: number;
  /** What to do about it; may be ''. */
  readonly suggestion: string;
  /** The file, tensor, layer or key at fault; may be ''. */
  readonly subject: string;
}

/** What owns something of the library: close() frees it, else the garbage collector does. */
declare class Handle {
  close(): void;
  [Symbol.dispose](): void;
}

export class Config extends Handle {
  constructor(settings?: Settings);
  set(key: string, value: string | number | boolean): this;
  setForLayers(glob: string, key: string, value: string | number | boolean): this;
  validate(): void;
  toJSON(): Settings;
}
export interface Key {
  key: string;
  type: string;
  default: string;
  per_layer: boolean;
  help: string;
  choices?: string[];
  minimum?: number;
  maximum?: number;
}
export function listKeys(): Key[];

/** The value that holds for a key, and who set it. */
export function resolve(key: string, options?: { config?: Config | Settings | null; call?: Settings; layer?: string | null }): {
  value: string;
  source: 'default' | 'config' | 'config layers' | 'call' | 'call layers';
};

export type Dtype =
  | 'BOOL' | 'U8' | 'I8' | 'U16' | 'I16' | 'U32' | 'I32' | 'U64' | 'I64' | 'F16' | 'BF16' | 'F32' | 'F64' | 'C64' | 'F8_E4M3'
  | 'F8_E5M2' | 'F8_E8M0' | 'F6_E2M3' | 'F6_E3M2' | 'F4' | 'F8_E4M3FNUZ' | 'F8_E5M2FNUZ';
export type Elements =
  | Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array
  | BigUint64Array;

export class Tensor extends Handle {
  /** A copy. dtype: the array's own unless said. */
  static from(shape: readonly number[], array: Elements, dtype?: Dtype): Tensor;
  readonly dtype: Dtype;
  readonly shape: number[];
  readonly sizeBytes: number;
  /** Copies. values(): as the typed array of its dtype; 16 bit floats as their bits, smaller ones as bytes. */
  bytes(): Buffer;
  values(): Elements;
}

export type Value = Tensor | number | bigint | boolean | string | null;
export class Values extends Handle implements Iterable<[string, Value]> {
  static from(values: readonly (Value | { float: number })[] | Record<string, Value | { float: number }>): Values;
  add(value: Value | { float: number }, name?: string | null): this;
  readonly length: number;
  name(index: number): string;
  value(index: number): Value;
  [Symbol.iterator](): IterableIterator<[string, Value]>;
}
export type Inputs = Values | Parameters<typeof Values.from>[0];

/** What a job did, and what it cost. An exact result has the sqnr_db Infinity. */
export class Report extends Handle {
  number(name: string): number | undefined;
  readonly layerCount: number;
  layerText(index: number, name: string): string | null;
  layerNumber(index: number, name: string): number | undefined;
  readonly warnings: string[];
  readonly problems: string[];
  toJSON(): any;
}

/** The program's own input: read(offset, size) gives that many bytes, at once, on the main thread. */
export class Reader extends Handle {
  constructor(size: number, read: (offset: number, size: number) => Uint8Array);
}
/** The program's own output, written in any order, on the main thread. */
export class Writer extends Handle {
  constructor(functions: {
    write: (offset: number, bytes: Buffer) => void;
    commit?: (size: number) => void;
    abort?: () => void;
  });
  static toMemory(): Writer & { readonly bytes: Buffer };
}

export interface Layer {
  name: string;
  tensor: string;
  /** '' where it is no layer's weight. */
  kind: string;
  action: 'quantize' | 'cast' | 'copy';
  scheme: string;
  reason: string;
  dtype: Dtype;
  shape: number[];
  ties: string[];
}
export interface LayerTensor {
  name: string;
  tensor?: Tensor | null;
  kind?: string | null;
  channelAxis?: number;
  tiedTo?: string | null;
}
export type Path = string | URL;

/** A checkpoint held open, float or quantized. It never changes. */
export class Model extends Handle {
  static open(path: Path, options?: { call?: Settings }): Promise<Model>;
  /** The bytes are copied. */
  static openMemory(bytes: Uint8Array, options?: { call?: Settings }): Promise<Model>;
  static openReader(reader: Reader, options?: { call?: Settings }): Promise<Model>;
  static fromTensors(tensors: Record<string, Tensor>): Model;
  static fromLayers(tensors: readonly LayerTensor[]): Model;
  readonly tensorNames: string[];
  tensor(name: string): Promise<Tensor>;
  /** One weight as floats, however it is stored. */
  weight(name: string, options?: JobOptions): Promise<Tensor>;
  describe(): Promise<any>;
  layers(options?: { config?: Config | Settings | null; call?: Settings }): Promise<Layer[]>;
  quantize(options?: QuantizeOptions): Promise<{ model: Model; report: Report }>;
  quantizeToFile(path: Path, options?: QuantizeOptions): Promise<Report>;
  quantizeToWriter(writer: Writer, options?: QuantizeOptions): Promise<Report>;
  plan(options?: QuantizeOptions): Promise<Report>;
  dequantize(options?: JobOptions): Promise<{ model: Model; report: Report }>;
  dequantizeToWriter(writer: Writer, options?: JobOptions): Promise<Report>;
  save(path: Path, options?: JobOptions): Promise<void>;
  saveToMemory(options?: JobOptions): Promise<Buffer>;
  saveToWriter(writer: Writer, options?: JobOptions): Promise<void>;
  clone(): Promise<Model>;
  compare(other: Model, options?: JobOptions): Promise<Report>;
  /** With the codes that the layer has, or quantized as the settings say. */
  linear(layer: string, options?: { config?: Config | Settings | null; call?: Settings }): Promise<Linear>;
  embedding(layer: string): Promise<Embedding>;
  forward(inputs: Inputs, options?: { method?: string | null; call?: Settings }): Promise<Values>;
  validate(options?: JobOptions & { original?: Model | null; inputs?: Inputs | null }): Promise<Report>;
}

/** A Linear layer by itself, packed once and multiplied in integers. */
export class Linear extends Handle {
  /** Quantizes floats: weight [out, in] and bias [out]. */
  static from(
    weight: Tensor, bias?: Tensor | null, options?: { config?: Config | Settings | null; call?: Settings },
  ): Promise<Linear>;
  /** rows [.., in] of F32 or BF16 to [.., out], of the same dtype unless another is named. */
  run(rows: Tensor, options?: { dtype?: Dtype }): Promise<Tensor>;
  describe(): any;
}
/** The table of a layer, quantized or not. */
export class Embedding extends Handle {
  /** Rows as floats: indices of any shape, I64 or I32, to [.., row length]. */
  run(indices: Tensor, options?: { dtype?: Dtype }): Promise<Tensor>;
  describe(): any;
}

export function quantizeFile(input: Path, output: Path, options?: QuantizeOptions): Promise<Report>;
export function dequantizeFile(input: Path, output: Path, options?: JobOptions): Promise<Report>;
export function convertFile(input: Path, output: Path, options?: JobOptions): Promise<Report>;
export function compareFile(reference: Path, other: Path, options?: JobOptions): Promise<Report>;
export function validateFile(path: Path, options?: JobOptions & { original?: Path | null }): Promise<Report>;
export function mergeFolder(output: Path, options?: JobOptions): Promise<void>;
export function quantizeTensor(
  tensor: Tensor, options?: QuantizeOptions & { name?: string | null; kind?: string | null },
): Promise<{ parts: Values; report: Report }>;
export function dequantizeTensor(parts: Values, options?: JobOptions): Promise<Tensor>;
export function detectFormat(path: Path): Promise<string>;

export function version(): string;
export function abiVersion(): { major: number; minor: number };
export function buildInfo(): any;
export function listCapabilities(): any;
export function threads(): number;
export function setThreads(count: number): void;
export function setLog(log: Log | null): void;
