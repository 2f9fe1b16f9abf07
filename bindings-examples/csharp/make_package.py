#!/usr/bin/env python3
"""Makes the NuGet package where there is no dotnet: of the assembly that mono's compiler made.

    make_package.py ASSEMBLY TREE FOLDER
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
NUSPEC = "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"
CONTENT_TYPES = """\
<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
"""
RELATIONSHIPS = """\
<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Id="manifest" Target="/MonoQuant.nuspec"
                Type="http://schemas.microsoft.com/packaging/2010/07/manifest" />
</Relationships>
"""


def read_project():
    """What the project says of the package, so that it is said once."""
    root = ElementTree.parse(HERE / "MonoQuant" / "MonoQuant.csproj").getroot()
    return {element.tag: element.text for element in root.iter() if element.text and element.text.strip()}


def nuspec_of(project):
    package = ElementTree.Element("package", xmlns=NUSPEC)
    metadata = ElementTree.SubElement(package, "metadata")
    for key in ("PackageId", "Version", "Authors", "Description"):
        ElementTree.SubElement(metadata, key.removeprefix("Package").lower()).text = project[key]
    ElementTree.SubElement(metadata, "license", type="expression").text = project["PackageLicenseExpression"]
    ElementTree.SubElement(metadata, "readme").text = project["PackageReadmeFile"]
    ElementTree.SubElement(metadata, "dependencies")
    return ElementTree.tostring(package, encoding="utf-8", xml_declaration=True)


def files_of(assembly, tree):
    """{the name in the package: the file}."""
    files = {"lib/netstandard2.0/MonoQuant.dll": assembly, "README.md": HERE / "README.md"}
    for name in ("libmono_quant.so.1", "libmono_quant_torch.so"):
        if (tree / "lib" / name).exists():
            files[f"runtimes/linux-x64/native/{name}"] = tree / "lib" / name
    files |= {f"licences/{path.name}": path for path in (tree / "share/doc/mono_quant/licences").glob("*")}
    return files


def content_types(names):
    """Every kind of file must be told of; of those whose end says nothing, every file."""
    ends = sorted({end[1] for end in (re.search(r"\.([a-z]+)$", name) for name in names) if end})
    types = "".join(f'  <Default Extension="{end}" ContentType="application/octet" />\n' for end in ends)
    others = [name for name in names if not re.search(r"\.[a-z]+$", name)]
    types += "".join(f'  <Override PartName="/{name}" ContentType="application/octet" />\n' for name in others)
    return CONTENT_TYPES + types + "</Types>\n"


def make_package(assembly, tree, folder):
    project, files = read_project(), files_of(assembly, tree)
    path = folder / f"{project['PackageId']}.{project['Version']}.nupkg"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        add = lambda name, data: package.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        add("[Content_Types].xml", content_types(["MonoQuant.nuspec", *files]))
        add("_rels/.rels", RELATIONSHIPS)
        add("MonoQuant.nuspec", nuspec_of(project))
        for name, file in files.items():
            add(name, pathlib.Path(file).read_bytes())
    return path.name


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: make_package.py ASSEMBLY TREE FOLDER")
    print(make_package(*(pathlib.Path(argument).resolve() for argument in sys.argv[1:])))
