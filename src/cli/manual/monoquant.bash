# monoquant in bash, made from the command line's own help by src/cli/manual/make_manual.py.

_monoquant_values() {
  case $1 in
    dtype) echo 'qint8 quint8 qint4 float16 bfloat16 qint2 qint3 qint5 qint6 qint7 float8_e4m3 float8_e5m2 mxfp8 mxfp6 mxfp4 nvfp4 nf4 fp4' ;;
    bits) echo '2 3 4 5 6 7 8 16' ;;
    symmetric) echo 'true false' ;;
    per_channel) echo 'true false' ;;
    block) echo '128x128' ;;
    method) echo 'minmax search' ;;
    positive_scales) echo 'true false' ;;
    kind) echo 'Linear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Embedding LSTM GRU RNN LSTMCell GRUCell RNNCell Conv1D Experts' ;;
    layer_types) echo 'Linear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Embedding LSTM GRU RNN LSTMCell GRUCell RNNCell Conv1D Experts' ;;
    nonfinite) echo 'error copy' ;;
    accuracy_warning) echo 'warn error ignore' ;;
    expert_accuracy) echo 'true false' ;;
    activations) echo 'dynamic float' ;;
    symmetric_activations) echo 'true false' ;;
    format) echo 'safetensors pytorch gguf torchscript compressed-tensors folder gptq mlx awq fp8 comfyui bitsandbytes' ;;
    float_dtype) echo 'bfloat16 float16 float32' ;;
    resume) echo 'true false' ;;
    activation_bits) echo '8 none' ;;
    overwrite) echo 'true false' ;;
  esac
}

_monoquant_flags() {
  case $1 in
    quantize) echo '-b --bits -d --dtype -g --group-size --symmetric --asymmetric --per-tensor --method --only --skip --layer -c --config --tensors-key -o --output -n --dry-run -f --force --format --max-shard-size --shard --resume --report --json -q --quiet -v --verbose -j --threads --set -h --help' ;;
    info) echo '--tensors-key --json -h --help' ;;
    compare) echo '--tensors-key -f --force --report --json -q --quiet -v --verbose -j --threads --set -h --help' ;;
    validate) echo '-a --against --tensors-key -f --force --report --json -q --quiet -v --verbose -j --threads --set -h --help' ;;
    dequantize) echo '-d --dtype --tensors-key -o --output -f --force --format --max-shard-size --shard --resume --report --json -q --quiet -v --verbose -j --threads --set -h --help' ;;
    convert) echo '--tensors-key -o --output -f --force --format --max-shard-size --shard --resume --report --json -q --quiet -v --verbose -j --threads --set -h --help' ;;
    merge) echo '-f --force -q --quiet -h --help' ;;
    kernels) echo '--json -h --help' ;;
    keys) echo '--json -h --help' ;;
  esac
}

# _monoquant_offer WORDS WORD: those that start so.
_monoquant_offer() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }

_monoquant() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} key= flag
  COMPREPLY=()
  # bash takes key=value for three words.
  if [ "$word" = = ]; then
    key=$before word=
  elif [ "$before" = = ]; then
    key=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  flag=${key:-$before}
  key=${key#--}
  key=${key//-/_}
  case $before in
    --bits | -b) key=bits ;;
    --dtype | -d) key=dtype ;;
    --method) key=method ;;
    --format) key=format ;;
    --set) key=- ;;
    --against | --config | --output | --report | -a | -c | -o) compopt -o default 2>/dev/null; return ;;
    --group-size | --layer | --max-shard-size | --only | --set | --shard | --skip | --tensors-key | --threads | -g | -j) return ;;
  esac
  case ${COMP_WORDS[1]}=$flag in
    dequantize=-d | dequantize=--dtype) key=float_dtype ;;
  esac
  [ "$COMP_CWORD" -lt 3 ] || [ "${COMP_WORDS[COMP_CWORD - 2]}" != --layer ] || key=-
  if [ "$key" = - ]; then
    compopt -o nospace 2>/dev/null
    _monoquant_offer 'dtype= bits= symmetric= per_channel= group_size= block= channel_axis= method= positive_scales= kind= layer_types= only= skip= min_parameters= nonfinite= accuracy_warning= sqnr_warning_db= sqnr_critical_db= expert_accuracy= threads= memory_budget= activations= symmetric_activations= format= float_dtype= tensors_key= max_shard_size= shard= resume= activation_bits= overwrite=' "$word"
  elif [ -n "$key" ]; then
    _monoquant_offer "$(_monoquant_values "$key")" "$word"
  elif [ "$COMP_CWORD" -eq 1 ]; then
    _monoquant_offer 'quantize info compare validate dequantize convert merge kernels keys -h --help -V --version' "$word"
  elif [[ $word == -* ]]; then
    _monoquant_offer "$(_monoquant_flags "${COMP_WORDS[1]}")" "$word"
  else
    compopt -o default 2>/dev/null
  fi
}

complete -F _monoquant monoquant
