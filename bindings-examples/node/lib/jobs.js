// Jobs from file to file, within memory_budget bytes whatever their size, and of one tensor.
import { asReport, Report } from './report.js';
import { callAsync } from './native.js';
import { pathText } from './path.js';
import { runConfiguredJob, runJob } from './run.js';
import { asTensor } from './tensor.js';
import { Values } from './values.js';

/** Options of all jobs: call (settings of the job), progress, observer, log, signal; here also config. */
export async function quantizeFile(input, output, options = {}) {
  return runConfiguredJob(options, asReport, 'quantize_file', pathText(input), pathText(output));
}
export async function dequantizeFile(input, output, options = {}) {
  return runJob(options, asReport, 'dequantize_file', pathText(input), pathText(output));
}
export async function convertFile(input, output, options = {}) {
  return runJob(options, asReport, 'convert_file', pathText(input), pathText(output));
}
export async function mergeFolder(output, options = {}) {
  return runJob(options, () => {}, 'merge_folder', pathText(output));
}
export async function compareFile(reference, other, options = {}) {
  return runJob(options, asReport, 'compare_file', pathText(reference), pathText(other));
}
export async function validateFile(path, { original = null, ...options } = {}) {
  return runJob(options, asReport, 'validate_file', pathText(path), original === null ? null : pathText(original));
}

/** One tensor by itself: its parts as a file would have them, and a report. name and kind are those of its layer. */
export async function quantizeTensor(tensor, { name = null, kind = null, ...options } = {}) {
  const make = ([parts, report]) => ({ parts: new Values(parts), report: new Report(report) });
  return runConfiguredJob(options, make, 'tensor_quantize', tensor, name, kind);
}
export async function dequantizeTensor(parts, options = {}) {
  return runJob(options, asTensor, 'tensor_dequantize', parts);
}

/** 'safetensors', 'gguf'...: what a file is, by its content. */
export const detectFormat = (path) => callAsync('detect_format', pathText(path));
