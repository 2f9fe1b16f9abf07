#!/usr/bin/env python3
"""Makes what tells of the command line elsewhere from what it says itself: the man page and the completions of shells.

    make_manual.py MONOQUANT           writes the files that differ
    make_manual.py MONOQUANT --check   says which differ, and fails
"""
import collections
import difflib
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
COLUMN = 27  # where help has what a flag does
ORIGIN = "made from the command line's own help by src/cli/manual/make_manual.py"

# items: of a group, in order; examples: lines; notes: paragraphs behind them
Help = collections.namedtuple("Help", "summary usage groups examples notes")
# short and long with their dashes, or ""; value: "N", or "" for a flag that takes none
# key: whose values it takes, be there such a key or not
Flag = collections.namedtuple("Flag", "short long value help key")
Command = collections.namedtuple("Command", "name help flags arguments")

FILES = ("FILE", "OUT", "ORIGINAL")  # values that name files

# Flags whose values are those of a key that is called otherwise, by command and flag.
OTHER_KEYS = {("dequantize", "--dtype"): "float_dtype"}

ENVIRONMENT = [
    ("MNQ_ISA", "Forces an instruction set, as generic; \\fBmonoquant kernels\\fR lists those of this CPU."),
    ("MONO_QUANT_TORCH", "Names the folder of libmono_quant_torch.so, which runs and rewrites TorchScript modules."),
    ("NO_COLOR", "Where it is set, output has no colours."),
]


def split_items(lines):
    """Pairs of a name and what it does, from the lines of a group."""
    items = []
    for line in lines:
        name, text = line[:COLUMN].strip(), line[COLUMN:].strip()
        if len(line) > COLUMN and line[COLUMN - 1] != " ":
            name, text = line.strip(), ""
        if name:
            items.append([name, text])
        else:
            items[-1][1] = (items[-1][1] + " " + text).strip()
    return items


def split_examples(lines):
    """The lines of the examples, and the paragraphs behind them."""
    end = next((i for i, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    paragraphs = [" ".join(part.split()) for part in "\n".join(lines[end:]).split("\n\n")]
    return [line[2:] for line in lines[:end]], [part for part in paragraphs if part]


def parse_help(text):
    lines = text.splitlines()
    groups, examples, notes, usage = {}, [], [], ""
    for i, line in enumerate(lines[1:], 1):
        if line.startswith("Usage: "):
            usage = line[len("Usage: "):]
        elif line == "Examples:":
            examples, notes = split_examples(lines[i + 1:])
            break
        elif line.endswith(":") and not line.startswith(" "):
            end = next(j for j in range(i, len(lines)) if not lines[j])
            groups[line[:-1]] = split_items(lines[i + 1:end])
    while examples and not examples[-1]:
        examples.pop()
    return Help(lines[0], usage, groups, examples, notes)


def parse_flag(command, name, text):
    found = re.fullmatch(r"(?:(-\w), )?(--[a-z-]+)(?: (.+))?", name)
    key = OTHER_KEYS.get((command, found[2]), found[2][2:].replace("-", "_"))
    return Flag(found[1] or "", found[2], found[3] or "", text, key)


def read_command(run, name):
    parsed = parse_help(run(name, "--help"))
    items = [item for group, items in parsed.groups.items() if group != "Arguments" for item in items]
    flags = [parse_flag(name, *item) for item in items]
    return Command(name, parsed, flags, [name for name, _ in parsed.groups.get("Arguments", [])])


class CommandLine:
    """What monoquant says of itself."""

    def __init__(self, program):
        def run(*arguments):
            return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout

        self.version = run("--version").split()[-1]
        self.help = parse_help(run("--help"))
        self.commands = [read_command(run, name) for name, _ in self.help.groups["Commands"]]
        self.keys = json.loads(run("keys", "--json"))
        self.choices = {key["key"]: choices_of(key) for key in self.keys}

    def values(self, flag):
        """What a flag can be, where that is a list."""
        return self.choices.get(flag.key, []) if flag.value else []


def choices_of(key):
    return ["true", "false"] if key["type"] == "boolean" else key.get("choices", [])


# The man page.

def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`")
    return "\\&" + text if text[:1] in ".'" else text


def term(name, text):
    return [".TP", name, roff(text)]


def man_flag(name):
    flag = re.sub(r"(--?[a-z][a-z-]*)", lambda found: f"\\fB{roff(found[1])}\\fR", name.split(" ")[0])
    rest = name.split(" ")[1:]
    words = [f"\\fB{roff(word)}\\fR" if word.startswith("-") else f"\\fI{roff(word)}\\fR" for word in rest]
    return " ".join([flag, *words])


def man_examples(lines):
    return [".EX", *(roff(line) if line else "" for line in lines), ".EE"]


def man_command(command):
    lines = [f".SS {command.name}", roff(command.help.summary), ".PP", f".B {roff(command.help.usage)}"]
    for items in command.help.groups.values():
        for name, text in items:
            lines += term(man_flag(name), text)
    lines += [".PP", "Examples:", ".PP", *man_examples(command.help.examples)]
    for note in command.help.notes:
        lines += [".PP", roff(note)]
    return lines


def man_key(key):
    values = ", ".join(key.get("choices", [key["type"]]))
    layers = "; also per layer" if key["per_layer"] else ""
    return term(f"\\fB{key['key']}\\fR: {roff(values)} (default {roff(key['default'])}{layers})", key["help"])


def man_exit_codes(notes):
    text = next(note for note in notes if note.startswith("Exit codes: "))
    lines = []
    for part in text[len("Exit codes: "):].rstrip(".").split(", "):
        code, meaning = part.split(" ", 1)
        lines += term(f"\\fB{code}\\fR", meaning)
    return lines


def make_man(line):
    what = line.help.summary.split(": ", 1)[1]
    lines = [f'.\\" monoquant(1), {ORIGIN}', f'.TH MONOQUANT 1 "" "mono\\-quant {line.version}" "User Commands"',
             ".SH NAME", "monoquant \\- " + roff(what[0].lower() + what[1:].rstrip(".")), ".SH SYNOPSIS"]
    for command in line.commands:
        lines += [f".B {roff(command.help.usage)}", ".br"]
    lines += [".SH DESCRIPTION", roff(what[0].upper() + what[1:]),
              "What goes in is told by its content, what comes out by its name, or by \\fB\\-\\-format\\fR.",
              ".SH OPTIONS"]
    for name, text in line.help.groups["Other"]:
        lines += term(man_flag(name), text)
    lines.append(".SH COMMANDS")
    for command in line.commands:
        lines += man_command(command)
    lines += [".SH SETTINGS", "The keys of \\fB\\-\\-set\\fR, \\fB\\-\\-layer\\fR and \\fB\\-\\-config\\fR."]
    for key in line.keys:
        lines += man_key(key)
    lines.append(".SH ENVIRONMENT")
    for name, text in ENVIRONMENT:
        lines += [".TP", f"\\fB{name}\\fR", text]
    lines += [".SH EXIT STATUS", *man_exit_codes(line.help.notes), ".SH EXAMPLES", *man_examples(line.help.examples)]
    return "\n".join(lines) + "\n"


# The completions. Each has the commands, their flags, what flags and keys can be, and files elsewhere.

def with_value(line, takes):
    """The spellings of all flags whose value is so, sorted."""
    flags = {flag for command in line.commands for flag in command.flags if flag.value and takes(flag)}
    return sorted({spelling for flag in flags for spelling in spellings(flag)})


def spellings(flag):
    return [spelling for spelling in (flag.short, flag.long) if spelling]


def bash_flags(command):
    return " ".join(s for flag in command.flags for s in spellings(flag)) + " -h --help"


def make_bash(line):
    values = [f"    {key}) echo '{' '.join(choices)}' ;;" for key, choices in line.choices.items() if choices]
    same, other = {}, []
    for command in line.commands:
        for flag in filter(line.values, command.flags):
            if (command.name, flag.long) in OTHER_KEYS:
                names = " | ".join(f"{command.name}={spelling}" for spelling in spellings(flag))
                other.append(f"    {names}) key={flag.key} ;;")
            else:
                same.setdefault(flag.key, spellings(flag))
    chosen = [f"    {' | '.join(sorted(names))}) key={key} ;;" for key, names in same.items()]
    flags = [f"    {command.name}) echo '{bash_flags(command)}' ;;" for command in line.commands]
    files = " | ".join(with_value(line, lambda flag: flag.value in FILES))
    words = " | ".join(with_value(line, lambda flag: flag.value not in FILES and not line.values(flag)))
    names = " ".join(command.name for command in line.commands)
    keys = " ".join(f"{key}=" for key in line.choices)
    return f"""\
# monoquant in bash, {ORIGIN}.

_monoquant_values() {{
  case $1 in
{chr(10).join(values)}
  esac
}}

_monoquant_flags() {{
  case $1 in
{chr(10).join(flags)}
  esac
}}

# _monoquant_offer WORDS WORD: those that start so.
_monoquant_offer() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }}

_monoquant() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} key= flag
  COMPREPLY=()
  # bash takes key=value for three words.
  if [ "$word" = = ]; then
    key=$before word=
  elif [ "$before" = = ]; then
    key=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  flag=${{key:-$before}}
  key=${{key#--}}
  key=${{key//-/_}}
  case $before in
{chr(10).join(chosen)}
    --set) key=- ;;
    {files}) compopt -o default 2>/dev/null; return ;;
    {words}) return ;;
  esac
  case ${{COMP_WORDS[1]}}=$flag in
{chr(10).join(other)}
  esac
  [ "$COMP_CWORD" -lt 3 ] || [ "${{COMP_WORDS[COMP_CWORD - 2]}}" != --layer ] || key=-
  if [ "$key" = - ]; then
    compopt -o nospace 2>/dev/null
    _monoquant_offer '{keys}' "$word"
  elif [ -n "$key" ]; then
    _monoquant_offer "$(_monoquant_values "$key")" "$word"
  elif [ "$COMP_CWORD" -eq 1 ]; then
    _monoquant_offer '{names} -h --help -V --version' "$word"
  elif [[ $word == -* ]]; then
    _monoquant_offer "$(_monoquant_flags "${{COMP_WORDS[1]}}")" "$word"
  else
    compopt -o default 2>/dev/null
  fi
}}

complete -F _monoquant monoquant
"""


def zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh_action(line, flag):
    """What may follow a flag: its value's name, and what completes it."""
    if flag.long == "--layer":
        return ":GLOB: :key=value:_monoquant_setting"
    if flag.long == "--set":
        return ":key=value:_monoquant_setting"
    if flag.value in FILES:
        return f":{flag.value}:_files"
    return f":{flag.value}:({' '.join(line.values(flag))})" if flag.value else ""


def zsh_flag(line, flag):
    again = "*" if "repeatable" in flag.help else ""
    rest = f"[{zsh_text(flag.help)}]{zsh_action(line, flag)}"
    if not flag.short:
        return f"'{again}{flag.long}{rest}'"
    return f"'({flag.short} {flag.long})'{{{flag.short},{flag.long}}}'{rest}'"


def zsh_command(line, command):
    specs = [zsh_flag(line, flag) for flag in command.flags] + ["'(-h --help)'{-h,--help}'[print this]'"]
    specs += [f"':{name}:_files'" for name in command.arguments]
    return f"    {command.name})\n      _arguments -s \\\n        " + " \\\n        ".join(specs) + "\n      ;;"


def make_zsh(line):
    values = [f"    {key}) compadd {' '.join(choices)} ;;" for key, choices in line.choices.items() if choices]
    names = [f"    '{command.name}:{zsh_text(command.help.summary)}'" for command in line.commands]
    commands = [zsh_command(line, command) for command in line.commands]
    return f"""\
#compdef monoquant
# monoquant in zsh, {ORIGIN}.

_monoquant_setting() {{
  if ! compset -P '*='; then
    compadd -S = -q {' '.join(line.choices)}
    return
  fi
  case ${{IPREFIX%=}} in
{chr(10).join(values)}
  esac
}}

_monoquant_command() {{
  local -a commands=(
{chr(10).join(names)}
  )
  _describe command commands
}}

_monoquant() {{
  local context state state_descr line
  typeset -A opt_args
  _arguments -C '(- *)'{{-h,--help}}'[print this]' '(- *)'{{-V,--version}}'[print the version]' \\
    '1:command:_monoquant_command' '*:: :->arguments'
  [[ $state == arguments ]] || return
  case $words[1] in
{chr(10).join(commands)}
  esac
}}

if [[ $funcstack[1] == _monoquant ]]; then _monoquant "$@"; else compdef _monoquant monoquant; fi
"""


def fish_text(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_settings(line):
    return " ".join(" ".join(f"{key}={value}" for value in choices) or f"{key}="
                    for key, choices in line.choices.items())


def fish_flag(line, command, flag):
    words = [f"complete -c monoquant -n '__fish_seen_subcommand_from {command.name}'"]
    words += [f"-s {flag.short[1:]}"] if flag.short else []
    words.append(f"-l {flag.long[2:]}")
    if flag.value in FILES:
        words.append("-rF")
    elif flag.value:
        offered = fish_settings(line) if "key=value" in flag.value else " ".join(line.values(flag))
        words += ["-x", *([f"-a '{offered}'"] if offered else [])]
    return " ".join([*words, f"-d {fish_text(flag.help)}"])


def make_fish(line):
    lines = [f"# monoquant in fish, {ORIGIN}.", "complete -c monoquant -f",
             "complete -c monoquant -s h -l help -d 'print this'",
             "complete -c monoquant -n __fish_use_subcommand -s V -l version -d 'print the version'"]
    for command in line.commands:
        lines.append(f"complete -c monoquant -n __fish_use_subcommand -a {command.name} "
                     f"-d {fish_text(command.help.summary)}")
    for command in line.commands:
        lines += [fish_flag(line, command, flag) for flag in command.flags]
        if command.arguments:
            lines.append(f"complete -c monoquant -n '__fish_seen_subcommand_from {command.name}' -F")
    return "\n".join(lines) + "\n"


def main(program, *arguments):
    line = CommandLine(program)
    made = {"monoquant.1": make_man, "monoquant.bash": make_bash, "monoquant.zsh": make_zsh, "monoquant.fish": make_fish}
    failed = False
    for name, make in made.items():
        path, text = HERE / name, make(line)
        there = path.read_text() if path.exists() else ""
        if there == text:
            continue
        if "--check" not in arguments:
            path.write_text(text)
            continue
        failed = True
        sys.stderr.writelines(difflib.unified_diff(there.splitlines(True), text.splitlines(True), str(path), "made"))
    if failed:
        sys.exit("run src/cli/manual/make_manual.py with the monoquant that was built")


if __name__ == "__main__":
    main(*sys.argv[1:])
