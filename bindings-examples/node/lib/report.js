import { Handle } from './handle.js';
import { call, native } from './native.js';

// undefined for a number that is not there.
function numberOr(work) {
  try {
    return work();
  } catch (error) {
    if (error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

const texts = (count, at) => Array.from({ length: count }, (_, i) => at(i));

/** What a job did, and what it cost. toJSON() has all of it; an exact result has the sqnr_db Infinity. */
export class Report extends Handle {
  constructor(pointer) {
    super(pointer, native.report_free);
  }

  /** A number of the whole model: 'sqnr_db', 'bytes_after'...; undefined where it has none. */
  number(name) {
    return numberOr(() => call('report_number', this, name));
  }

  get layerCount() {
    return native.report_layer_count(this.pointer);
  }
  /** 'name', 'tensor', 'kind', 'dtype', 'scheme', 'action', 'reason'; null where there is none. */
  layerText(index, name) {
    return native.report_layer_text(this.pointer, index, name);
  }
  layerNumber(index, name) {
    return numberOr(() => call('report_layer_number', this, index, name));
  }

  get warnings() {
    return texts(native.report_warning_count(this.pointer), (i) => native.report_warning(this.pointer, i));
  }
  get problems() {
    return texts(native.report_problem_count(this.pointer), (i) => native.report_problem(this.pointer, i));
  }
  toJSON() {
    return JSON.parse(native.report_json(this.pointer));
  }
}

export const asReport = (pointer) => new Report(pointer);
