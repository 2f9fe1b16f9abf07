import { Handle } from './handle.js';
import { call, native, takeText } from './native.js';

/** Settings as keys and values; listKeys() lists them. */
export class Config extends Handle {
  /** settings: { bits: 4, layers: [{ name: '*.head', bits: 8 }] }; values are texts, numbers or booleans. */
  constructor(settings = {}) {
    super(call('config_create', null), native.config_free);
    applySettings(settings, (key, value) => this.set(key, value), (glob, key, value) => this.setForLayers(glob, key, value));
  }

  set(key, value) {
    call('config_set', this, key, String(value));
    return this;
  }
  setForLayers(glob, key, value) {
    call('config_set_for_layers', this, glob, key, String(value));
    return this;
  }

  /** Throws for a combination that cannot be. */
  validate() {
    call('config_validate', this);
  }
  toJSON() {
    return JSON.parse(takeText(call('config_to_json', this)));
  }
}

/** Gives each setting to set(key, value) or setForLayers(glob, key, value). */
export function applySettings({ layers = [], ...all } = {}, set, setForLayers) {
  for (const [key, value] of Object.entries(all)) set(key, value);
  for (const { name, ...settings } of layers) {
    for (const [key, value] of Object.entries(settings)) setForLayers(name, key, value);
  }
}

/** A config of settings that may be one already, or null. */
export function configOf(settings) {
  return settings === undefined || settings === null || settings instanceof Config ? settings ?? null : new Config(settings);
}

export const listKeys = () => JSON.parse(takeText(call('config_list_keys')));
