"""Counts and names the functions of src that fuzz targets reached, by what llvm-cov exported of each into
BUILD/TARGET.json. Instances of a template are one function, and lambdas belong to what holds them.

    python3 reach.py BUILD TARGET...
"""
import json
import pathlib
import subprocess
import sys

BUILD, TARGETS = pathlib.Path(sys.argv[1]), sys.argv[2:]
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent / "src"
NOT_FUZZED = {"torch", "cli"}


def read_functions(target):
    """(file, line) of each function: its mangled name, and whether it ran."""
    found = {}
    for function in json.loads((BUILD / f"{target}.json").read_text())["data"][0]["functions"]:
        file = pathlib.Path(function["filenames"][0])
        name = function["name"].split(":")[-1]
        if SOURCE not in file.parents or "$_" in name or "UlvE" in name or "EUl" in name:
            continue
        place = (str(file.relative_to(SOURCE)), function["regions"][0][0])
        ran = function["count"] > 0 or found.get(place, ("", False))[1]
        found[place] = (name, ran)
    return found


def demangled(names):
    text = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [line.replace("mnq::", "").replace("(anonymous namespace)::", "") for line in text.splitlines()]


reached = {target: read_functions(target) for target in TARGETS}
places = sorted({place for functions in reached.values() for place in functions
                 if place[0].split("/")[0] not in NOT_FUZZED})
by_target = {target: {place for place, (_, ran) in functions.items() if ran} for target, functions in reached.items()}
together = set().union(*by_target.values())
names = dict(zip(places, demangled([next(f[place][0] for f in reached.values() if place in f) for place in places])))
rooms = sorted({place[0].split("/")[0] for place in places})

print(f"{'functions reached':<20}" + "".join(f"{target:>13}" for target in [*TARGETS, "together", "of"]))
for room in [*rooms, ""]:
    inside = [place for place in places if place[0].startswith(room)]
    counts = [sum(place in some for place in inside) for some in [*by_target.values(), together]]
    print(f"{room or 'all':<20}" + "".join(f"{count:>13}" for count in [*counts, len(inside)]))
for title, wanted in (("reached", True), ("unreached", False)):
    path = BUILD / f"{title}.txt"
    lines = [f"src/{file}:{line} {names[file, line]}" for file, line in places if ((file, line) in together) == wanted]
    path.write_text("\n".join(lines) + "\n")
    print(f"{title}: {len(lines)}, named in {path}")
print("\nReached by no target, of what reads, plans and writes:")
for file, line in places:
    if (file, line) not in together and file.split("/")[0] not in ("base", "kernels", "module"):
        print(f"  src/{file}:{line} {names[file, line]}")
