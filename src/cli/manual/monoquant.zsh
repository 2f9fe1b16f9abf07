#compdef monoquant
# monoquant in zsh, made from the command line's own help by src/cli/manual/make_manual.py.

_monoquant_setting() {
  if ! compset -P '*='; then
    compadd -S = -q dtype bits symmetric per_channel group_size block channel_axis method positive_scales kind layer_types only skip min_parameters nonfinite accuracy_warning sqnr_warning_db sqnr_critical_db expert_accuracy threads memory_budget activations symmetric_activations format float_dtype tensors_key max_shard_size shard resume activation_bits overwrite
    return
  fi
  case ${IPREFIX%=} in
    dtype) compadd qint8 quint8 qint4 float16 bfloat16 qint2 qint3 qint5 qint6 qint7 float8_e4m3 float8_e5m2 mxfp8 mxfp6 mxfp4 nvfp4 nf4 fp4 ;;
    bits) compadd 2 3 4 5 6 7 8 16 ;;
    symmetric) compadd true false ;;
    per_channel) compadd true false ;;
    block) compadd 128x128 ;;
    method) compadd minmax search ;;
    positive_scales) compadd true false ;;
    kind) compadd Linear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Embedding LSTM GRU RNN LSTMCell GRUCell RNNCell Conv1D Experts ;;
    layer_types) compadd Linear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Embedding LSTM GRU RNN LSTMCell GRUCell RNNCell Conv1D Experts ;;
    nonfinite) compadd error copy ;;
    accuracy_warning) compadd warn error ignore ;;
    expert_accuracy) compadd true false ;;
    activations) compadd dynamic float ;;
    symmetric_activations) compadd true false ;;
    format) compadd safetensors pytorch gguf torchscript compressed-tensors folder gptq mlx awq fp8 comfyui bitsandbytes ;;
    float_dtype) compadd bfloat16 float16 float32 ;;
    resume) compadd true false ;;
    activation_bits) compadd 8 none ;;
    overwrite) compadd true false ;;
  esac
}

_monoquant_command() {
  local -a commands=(
    'quantize:Make a checkpoint smaller\: integers of 2 to 8 bits, floats of 4 to 16.'
    'info:Say what is in a checkpoint.'
    'compare:Measure the accuracy of B against A, tensor by tensor.'
    'validate:Check a checkpoint\: finite values, usable scales, right shapes.'
    'dequantize:Turn a quantized checkpoint back into floats.'
    'convert:Write a checkpoint in another format.'
    'merge:Make a folder whole whose parts were made with --shard.'
    'kernels:Show what this CPU gets\: instruction sets and kernels.'
    'keys:List the keys of --set, --layer and --config.'
  )
  _describe command commands
}

_monoquant() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C '(- *)'{-h,--help}'[print this]' '(- *)'{-V,--version}'[print the version]' \
    '1:command:_monoquant_command' '*:: :->arguments'
  [[ $state == arguments ]] || return
  case $words[1] in
    quantize)
      _arguments -s \
        '(-b --bits)'{-b,--bits}'[8 (the default), 2 to 7, or 16]:N:(2 3 4 5 6 7 8 16)' \
        '(-d --dtype)'{-d,--dtype}'[a scheme by its name\: monoquant keys lists them]:NAME:(qint8 quint8 qint4 float16 bfloat16 qint2 qint3 qint5 qint6 qint7 float8_e4m3 float8_e5m2 mxfp8 mxfp6 mxfp4 nvfp4 nf4 fp4)' \
        '(-g --group-size)'{-g,--group-size}'[weights that share a scale; 0\: a whole channel]:N:()' \
        '--symmetric[zero point 0]' \
        '--asymmetric[a zero point for each scale]' \
        '--per-tensor[one scale for a whole tensor]' \
        '--method[minmax, or search\: more accurate; for 4 bits anyway]:NAME:(minmax search)' \
        '*--only[quantize only layers that match; repeatable]:GLOB:()' \
        '*--skip[leave layers that match as they are; repeatable]:GLOB:()' \
        '*--layer[for layers that match only; repeatable]:GLOB: :key=value:_monoquant_setting' \
        '(-c --config)'{-c,--config}'[JSON of keys and values; flags win over it]:FILE:_files' \
        '--tensors-key[of a PyTorch checkpoint\: the dict with the tensors]:KEY:()' \
        '(-o --output)'{-o,--output}'[where to; else beside IN, as IN-int8 and the like]:OUT:_files' \
        '(-n --dry-run)'{-n,--dry-run}'[say what would be done, and do nothing]' \
        '(-f --force)'{-f,--force}'[replace an output or a report that is there already]' \
        '--format[what to write, where the name of OUT does not tell]:NAME:(safetensors pytorch gguf torchscript compressed-tensors folder gptq mlx awq fp8 comfyui bitsandbytes)' \
        '--max-shard-size[of a folder'\''s files\: 2GiB; else 5GiB]:SIZE:()' \
        '--shard[make the I-th of N parts of a folder only; see merge]:I/N:()' \
        '--resume[go on with a folder that a run did not end]' \
        '--report[write the report as JSON, once all is done]:FILE:_files' \
        '--json[print the report as JSON, and nothing else]' \
        '(-q --quiet)'{-q,--quiet}'[print nothing but errors]' \
        '(-v --verbose)'{-v,--verbose}'[list every tensor and warning]' \
        '(-j --threads)'{-j,--threads}'[threads to work with; else one for each CPU]:N:()' \
        '*--set[any key that `monoquant keys` lists; repeatable]:key=value:_monoquant_setting' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':IN:_files'
      ;;
    info)
      _arguments -s \
        '--tensors-key[of a PyTorch checkpoint\: the dict with the tensors]:KEY:()' \
        '--json[print it as JSON]' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':FILE:_files'
      ;;
    compare)
      _arguments -s \
        '--tensors-key[of a PyTorch checkpoint\: the dict with the tensors]:KEY:()' \
        '(-f --force)'{-f,--force}'[replace a report that is there already]' \
        '--report[write the report as JSON, once all is done]:FILE:_files' \
        '--json[print the report as JSON, and nothing else]' \
        '(-q --quiet)'{-q,--quiet}'[print nothing but errors]' \
        '(-v --verbose)'{-v,--verbose}'[list every tensor and warning]' \
        '(-j --threads)'{-j,--threads}'[threads to work with; else one for each CPU]:N:()' \
        '*--set[any key that `monoquant keys` lists; repeatable]:key=value:_monoquant_setting' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':A:_files' \
        ':B:_files'
      ;;
    validate)
      _arguments -s \
        '(-a --against)'{-a,--against}'[also check names, shapes and dtypes]:ORIGINAL:_files' \
        '--tensors-key[of a PyTorch checkpoint\: the dict with the tensors]:KEY:()' \
        '(-f --force)'{-f,--force}'[replace a report that is there already]' \
        '--report[write the report as JSON, once all is done]:FILE:_files' \
        '--json[print the report as JSON, and nothing else]' \
        '(-q --quiet)'{-q,--quiet}'[print nothing but errors]' \
        '(-v --verbose)'{-v,--verbose}'[list every tensor and warning]' \
        '(-j --threads)'{-j,--threads}'[threads to work with; else one for each CPU]:N:()' \
        '*--set[any key that `monoquant keys` lists; repeatable]:key=value:_monoquant_setting' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':FILE:_files'
      ;;
    dequantize)
      _arguments -s \
        '(-d --dtype)'{-d,--dtype}'[bfloat16, float16 or float32; else what weights were]:NAME:(bfloat16 float16 float32)' \
        '--tensors-key[of a PyTorch checkpoint\: the dict with the tensors]:KEY:()' \
        '(-o --output)'{-o,--output}'[where to]:OUT:_files' \
        '(-f --force)'{-f,--force}'[replace an output or a report that is there already]' \
        '--format[what to write, where the name of OUT does not tell]:NAME:(safetensors pytorch gguf torchscript compressed-tensors folder gptq mlx awq fp8 comfyui bitsandbytes)' \
        '--max-shard-size[of a folder'\''s files\: 2GiB; else 5GiB]:SIZE:()' \
        '--shard[make the I-th of N parts of a folder only; see merge]:I/N:()' \
        '--resume[go on with a folder that a run did not end]' \
        '--report[write the report as JSON, once all is done]:FILE:_files' \
        '--json[print the report as JSON, and nothing else]' \
        '(-q --quiet)'{-q,--quiet}'[print nothing but errors]' \
        '(-v --verbose)'{-v,--verbose}'[list every tensor and warning]' \
        '(-j --threads)'{-j,--threads}'[threads to work with; else one for each CPU]:N:()' \
        '*--set[any key that `monoquant keys` lists; repeatable]:key=value:_monoquant_setting' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':IN:_files'
      ;;
    convert)
      _arguments -s \
        '--tensors-key[of a PyTorch checkpoint\: the dict with the tensors]:KEY:()' \
        '(-o --output)'{-o,--output}'[where to\: .safetensors, .pt, .gguf, or a folder\: OUT/]:OUT:_files' \
        '(-f --force)'{-f,--force}'[replace an output or a report that is there already]' \
        '--format[what to write, where the name of OUT does not tell]:NAME:(safetensors pytorch gguf torchscript compressed-tensors folder gptq mlx awq fp8 comfyui bitsandbytes)' \
        '--max-shard-size[of a folder'\''s files\: 2GiB; else 5GiB]:SIZE:()' \
        '--shard[make the I-th of N parts of a folder only; see merge]:I/N:()' \
        '--resume[go on with a folder that a run did not end]' \
        '--report[write the report as JSON, once all is done]:FILE:_files' \
        '--json[print the report as JSON, and nothing else]' \
        '(-q --quiet)'{-q,--quiet}'[print nothing but errors]' \
        '(-v --verbose)'{-v,--verbose}'[list every tensor and warning]' \
        '(-j --threads)'{-j,--threads}'[threads to work with; else one for each CPU]:N:()' \
        '*--set[any key that `monoquant keys` lists; repeatable]:key=value:_monoquant_setting' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':IN:_files'
      ;;
    merge)
      _arguments -s \
        '(-f --force)'{-f,--force}'[replace a folder that is there already]' \
        '(-q --quiet)'{-q,--quiet}'[print nothing but errors]' \
        '(-h --help)'{-h,--help}'[print this]' \
        ':OUT:_files'
      ;;
    kernels)
      _arguments -s \
        '--json[print it as JSON]' \
        '(-h --help)'{-h,--help}'[print this]'
      ;;
    keys)
      _arguments -s \
        '--json[print it as JSON]' \
        '(-h --help)'{-h,--help}'[print this]'
      ;;
  esac
}

if [[ $funcstack[1] == _monoquant ]]; then _monoquant "$@"; else compdef _monoquant monoquant; fi
