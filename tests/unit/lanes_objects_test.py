"""What would break the promise that every machine gives the same bits, looked for in what was built: instructions,
symbols and flags, and in the sources and the GPU's code.

  lanes_objects_test.py BUILD_DIRECTORY
"""

import functools
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path("build/release")

# ---------------------------------------------------------------- instructions

# What an instruction must not be: its mnemonic, or with operands where that is what matters.
X86 = {
    "minimum or maximum: which operand a NaN or a zero gives differs between processors": r"v?(min|max)[ps][sdh]\b|vminmax",
    "approximation of a reciprocal or a root": r"v?r(cp|sqrt)(14|28)?[ps][sdh]\b",
    "gather": r"vp?gather",
    # but vscalef: x 2^n, rounded once as IEEE 754 says, like times_power_of_two everywhere else
    "other rounding than to nearest": r"v\w+\s+\{r[nduz]-sae\}",
    "operation that other processors lack": r"v(fixupimm|range|getexp|getmant|reduce|exp2)[ps][sdh]\b",
    "change of the rounding or flushing of subnormals": r"v?ldmxcsr\b|fldcw\b",
    "arithmetic in 80 bits": r"fi?(ld(?!cw)|st(?!cw)|add|sub|mul|div|sqrt|sin|cos|ptan|patan|yl2x|2xm1)\w*\b",
}
ARM = {
    "minimum or maximum: which operand a NaN or a zero gives differs between processors": r"f(min|max)(nm)?[pv]?\b",
    "approximation of a reciprocal or a root": r"(f(recp|rsqrt)[exs]|urecpe|ursqrte)\b",
    "operation that other processors lack": r"(fmulx|fexpa|fscale|ftmad|ftsmul|ftssel|frint(32|64)[xz])\b",
    "change of the rounding or flushing of subnormals": r"msr\s+fpcr\b",
    "cryptography, which some processors lack": r"(aes|sha|pmull)\w*\b",
}
X86_FMA = r"vf(n?m(add|sub)|maddsub|msubadd)\w*\b"
# What only an instruction set's own functions may have: of a function that other objects have too, the linker keeps one copy
# for every processor.
X86_NEWER = (
    r"(v(?!err\b|erw\b)\w+|k(mov|or|and|xor|not|test|unpck|shift|add)\w+|"
    r"(andn|bextr|blsi|blsr|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)\w?\b)"
)
OWN_NAMESPACE = re.compile(r"N_AVX\w+")

INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t(?:(?:rep[nz]*|lock|data16|cs|ds|es|bnd|notrack|\{\w+\})\s+)*(\S.*?)\s*$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")


def instructions(disassembly):
    """(function, instruction) of each line of `objdump -d --no-show-raw-insn`."""
    function = ""
    for line in disassembly.splitlines():
        if match := FUNCTION.match(line):
            function = match[1]
        elif match := INSTRUCTION.match(line):
            yield function, match[1]


def bad_instructions(disassembly, rules):
    compiled = {why: re.compile(rule) for why, rule in rules.items()}
    for function, instruction in instructions(disassembly):
        for why, rule in compiled.items():
            if rule.match(instruction):
                yield f"{instruction} in {function}: {why}"


def shared_newer_instructions(disassembly):
    newer = re.compile(X86_NEWER)
    for function, instruction in instructions(disassembly):
        if newer.match(instruction) and not OWN_NAMESPACE.search(function):
            yield f"{instruction} in {function}, which is no instruction set's own"


# ---------------------------------------------------------------- symbols

FUNCTIONS = ("exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|sin|cos|tan|sincos|asin|acos|atan|atan2|sinh|cosh|tanh|asinh|acosh|"
             "atanh|cbrt|hypot|erf|erfc|tgamma|lgamma")
# "exp", "__expf_finite", "sinl@GLIBC_2.2.5", "_ZGVbN2v_exp"; not sqrt and fma, which are rounded once everywhere.
ELEMENTARY = re.compile(rf"(_ZGV\w+?_)?(__)?({FUNCTIONS})(f|l|f32|f64|f128|f32x|f64x)?(_finite)?(@.*)?")


def elementary_symbols(undefined):
    """Of the lines of `nm -u`, those that are the C library's elementary functions."""
    for line in undefined.splitlines():
        name = line.split()[-1] if line.split() else ""
        if ELEMENTARY.fullmatch(name):
            yield name


# ---------------------------------------------------------------- flags

FORBIDDEN_FLAG = re.compile(
    r"(?<![\w-])(-ffast-math|-Ofast|-funsafe-math-optimizations|-ffinite-math-only|-freciprocal-math|-fassociative-math|"
    r"-mrecip\S*|-mdaz-ftz|-mfpmath=387|-ffp-contract=(?!off)\w+|--?use_fast_math|--?ftz=true|--?prec-div=false|"
    r"--?prec-sqrt=false|--?fmad=true)(?![\w-])|crtfastmath")
EXACT = ("math/", "spec/noise.cc", "lattice/", "flow/")


def sources(entry):
    """The files of ours that a command compiles, a unity file's parts included, from the root of the repository."""
    file = pathlib.Path(entry["directory"], entry["file"])
    files = [file]
    if "Unity" in file.parts:
        files = [pathlib.Path(name) for name in re.findall(r'^#include "(.+)"', file.read_text(), re.M)]
    files = [file.resolve() for file in files]
    return [str(f.relative_to(ROOT)) for f in files if f.is_relative_to(ROOT) and not f.is_relative_to(BUILD)]


def options(entry):
    """The words of a command, those that nvcc hands to the host's compiler as words of their own."""
    words = shlex.split(entry["command"])
    handed = []
    for before, word in zip([""] + words, words):
        if word.startswith(("-Xcompiler=", "--compiler-options=")):
            handed += word.split("=", 1)[1].split(",")
        elif before in ("-Xcompiler", "--compiler-options"):
            handed += word.split(",")
        else:
            handed.append(word)
    return handed


def bad_flags(entry, files):
    given = options(entry)
    for word in given:
        if FORBIDDEN_FLAG.fullmatch(word):
            yield f"{', '.join(files) or entry['file']}: {word}"
    for file in files:
        if not file.startswith(EXACT):
            continue
        if "-ffp-contract=off" not in given:
            yield f"{file}: without -ffp-contract=off"
        if file.endswith(".cu") and "--fmad=false" not in given:
            yield f"{file}: without --fmad=false"


def bad_rules(ninja):
    for number, line in enumerate(ninja.splitlines(), 1):
        if match := FORBIDDEN_FLAG.search(line):
            yield f"build.ninja:{number}: {match[0]}"


# ---------------------------------------------------------------- sources

CALL = re.compile(rf"(?<!\w)(std::|__builtin_|::)({FUNCTIONS})[fl]?\b|(?<![\w:.>])({FUNCTIONS})[fl]\(|"
                  r"\b__(exp|exp10|log|log2|log10|sin|cos|tan|pow|sincos|tanh|fdivide)f\b|\b(rsqrt|sincospi|sinpi|cospi)f?\(|"
                  r"\b__f(rcp|rsqrt|sqrt|div|add|sub|mul|maf?)_r[zud]\b|\b__d(rcp|sqrt|div|add|sub|mul)_r[zud]\b")


def bad_calls(file, text):
    for number, line in enumerate(text.splitlines(), 1):
        if match := CALL.search(line.split("//")[0]):
            yield f"{file}:{number}: {match[0]}"


# ---------------------------------------------------------------- the GPU's code

# PTX rounds add, sub and mul to nearest also without `.rn`, but only with it does ptxas leave a mul and an add apart (PTX ISA,
# "add": a rounding modifier "is treated conservatively by the code optimizer"), whatever its --fmad is.
PTX_INSTRUCTION = re.compile(r"^\s*(?:@!?%\w+\s+)?([a-z]\w*(?:\.[a-z]\w*(?:::\w+)*)*)\s+[^:=]*;")
PTX_CONSTANT = re.compile(r"0d(?![08]0{15};)[0-9A-F]{16};")  # the last operand; zeros have signs, which min and max order
PTX_ROUNDED = {"add", "sub", "mul", "fma", "mad", "div", "sqrt", "rcp"}
PTX_APPROXIMATE = {"rsqrt", "ex2", "lg2", "sin", "cos", "tanh"}
PTX_OTHER = {"min", "max", "red", "atom", "multimem", "mma", "wgmma", "wmma", "testp", "copysign"}


def bad_ptx(ptx):
    for number, line in enumerate(ptx.splitlines(), 1):
        match = PTX_INSTRUCTION.match(line)
        if not match:
            continue
        name, *modifiers = match[1].split(".")
        floats = [m for m in modifiers if re.fullmatch(r"b?f(16|32|64)(x2)?|tf32|e\dm\d(x2)?", m)]
        if not floats:
            continue
        where = f"line {number}: {match[1]}"
        if set(modifiers) & {"ftz", "approx", "full", "sat", "relu"} or name in PTX_APPROXIMATE:
            yield f"{where}: approximate, or not IEEE 754's"
        elif name in PTX_ROUNDED and "rn" not in modifiers:
            yield f"{where}: not .rn, so that ptxas may fuse it, or rounded otherwise"
        elif name in ("min", "max") and PTX_CONSTANT.search(line):
            pass  # what the compiler makes of a comparison and a choice, where a NaN gives the constant either way
        elif name in PTX_OTHER:
            yield f"{where}: not an operation of math/value.h"
        elif name == "cvt" and set(modifiers) & {"rz", "rm", "rp", "rna", "rs"}:
            yield f"{where}: not rounded to nearest"
        elif not set(floats) <= {"f32", "f64"}:
            yield f"{where}: another format"


# ---------------------------------------------------------------- tests


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}")
    return done.stdout


def built():
    """compile_commands.json with the sources of each command."""
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    return [(entry, sources(entry)) for entry in entries]


def object_of(source):
    """The object file of a source that is compiled by itself."""
    for entry, files in built():
        if files == [source]:
            words = shlex.split(entry["command"])
            return pathlib.Path(entry["directory"], words[words.index("-o") + 1])
    raise AssertionError(f"compile_commands.json compiles no {source} by itself")


def every_processor_is_newer():
    """Whether the user has asked for code that not every processor of this architecture runs (-march=native)."""
    return any(option.startswith("-m") for entry, files in built() if "spec/noise.cc" in files for option in options(entry))


def lane_objects():
    """(name, objdump's and nm's prefix, file) of the lane engine's objects, those for 64-bit ARM included if there are any."""
    for name in ("vector", "vector_matrices", "portable", "portable_matrices"):
        yield name, "", object_of(f"flow/lanes/{name}.cc")
        arm = BUILD / f"tests/aarch64/flow_lanes_{name}.o"
        if arm.exists() and shutil.which("aarch64-linux-gnu-objdump"):
            yield name, "aarch64-linux-gnu-", arm


@functools.cache
def disassembly(prefix, file):
    text = run(prefix + "objdump", "-d", "--no-show-raw-insn", file)
    if sum(1 for _ in instructions(text)) < 10000:
        raise AssertionError(f"{file}: where are its instructions?")
    return text


def is_arm(text):
    return "aarch64" in text.split("Disassembly", 1)[0]


class LanesObjectsTest(unittest.TestCase):
    def assert_none(self, found):
        found = list(found)
        if found:
            self.fail(f"{len(found)} in all:\n" + "\n".join(found[:20]))

    def test_the_objects_have_no_instruction_whose_result_differs_between_processors(self):
        for name, prefix, file in lane_objects():
            with self.subTest(file=str(file)):
                text = disassembly(prefix, file)
                self.assert_none(bad_instructions(text, ARM if is_arm(text) else X86))

    def test_vectors_multiply_and_add_in_one_operation(self):
        for name, prefix, file in lane_objects():
            text = disassembly(prefix, file)
            if not name.startswith("vector"):
                continue
            expected = [r"fmla\s+v"] if is_arm(text) else [X86_FMA + ".*%zmm", X86_FMA + ".*%ymm"]
            for pattern in expected:
                self.assertTrue(list(bad_instructions(text, {"": pattern})), f"{file} has no {pattern}")

    def test_portable_code_asks_the_library_for_a_fused_multiply_add(self):
        for name in ("portable", "portable_matrices"):
            file = object_of(f"flow/lanes/{name}.cc")
            text = disassembly("", file)
            if is_arm(text) or every_processor_is_newer():
                self.skipTest("every processor of this build has the operation")
            self.assert_none(bad_instructions(text, {"portable code may run where it is missing": X86_FMA}))
            self.assertLess({"fma", "fmaf"}, set(run("nm", "-u", file).split()))

    def test_functions_that_instruction_sets_share_are_for_every_processor(self):
        for name, prefix, file in lane_objects():
            text = disassembly(prefix, file)
            if not is_arm(text) and not every_processor_is_newer():
                self.assert_none(shared_newer_instructions(text))

    def test_the_objects_call_no_elementary_function_of_the_c_library(self):
        for name, prefix, file in lane_objects():
            undefined = run(prefix + "nm", "-u", file)
            self.assertIn("PackedNetworks", undefined)
            self.assert_none(f"{file}: {symbol}" for symbol in elementary_symbols(undefined))

    def test_nothing_is_compiled_or_linked_with_fast_mathematics_and_nothing_exact_with_contraction(self):
        seen = set()
        for entry, files in built():
            seen.update(files)
            self.assert_none(bad_flags(entry, files))
        self.assertLess({"spec/noise.cc", "lattice/phi4.cc", "flow/free_field.cc", "flow/lanes/plan.cc",
                         "flow/lanes/portable.cc", "flow/lanes/vector.cc", "flow/lanes/vector_matrices.cc"}, seen)
        self.assert_none(bad_rules((BUILD / "build.ninja").read_text()))

    def test_the_mathematics_calls_no_function_of_the_c_library(self):
        files = [file for folder in ("math", "spec", "lattice", "flow") for file in (ROOT / folder).rglob("*.inl")]
        files += [file for folder in ("math", "flow/lanes", "flow/cuda") for file in (ROOT / folder).iterdir()]
        files += [ROOT / name for name in ("spec/noise.cc", "flow/free_field.h", "flow/free_field.cc", "flow/affine.h", "flow/densities.h",
                                           "flow/activation.h", "flow/spline.h", "flow/spectral_splines.h", "flow/circle_mixture.h", "lattice/theories.h")]
        files = [file for file in sorted(set(files)) if file.suffix in (".h", ".inl", ".cc", ".cu")]
        self.assertIn(ROOT / "math/elementary.inl", files)
        self.assertIn(ROOT / "flow/lanes/model.inl", files)
        for file in files:
            self.assert_none(bad_calls(file.relative_to(ROOT), file.read_text()))

    def test_the_gpus_code_rounds_every_operation_once(self):
        found = [entry for entry, files in built() if files == ["flow/cuda/cuda_engine.cu"]]
        if not found:
            self.skipTest("this build has no GPU engine")
        words = shlex.split(found[0]["command"])
        if not shutil.which(words[0]):
            self.skipTest(f"there is no {words[0]}")
        kept = []
        for before, word in zip([""] + words, words):
            if word not in ("-c", "-o", "-MD", "-MT", "-MF") and before not in ("-o", "-MT", "-MF"):
                if not word.startswith(("--generate-code", "-gencode", "-arch")):
                    kept.append(word)
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "engine.ptx")
            run(*kept, "-ptx", "-arch=sm_90", "-o", file)
            ptx = file.read_text()
        self.assert_none(bad_ptx(ptx))
        for instruction in ("fma.rn.f32", "fma.rn.f64", "add.rn.f64", "mul.rn.f64", "div.rn.f64", "sqrt.rn.f64"):
            self.assertTrue(instruction in ptx, f"there is no {instruction}")


class RulesTest(unittest.TestCase):
    def test_every_instruction_that_would_break_the_bits_is_seen(self):
        for rules, allowed, forbidden in [
            (X86, ["vaddps %zmm0,%zmm1,%zmm2", "vfmadd231pd %ymm0,%ymm1,%ymm2", "vdivpd %ymm0,%ymm1,%ymm2",
                   "sqrtsd %xmm0,%xmm0", "vpmaxuq %zmm0,%zmm1,%zmm2", "vrndscalepd $0x0,%zmm0,%zmm0", "vscalefpd %zmm0,%zmm1,%zmm2", "rep stos %al,%es:(%rdi)",
                   "cs nopw 0x0(%rax)"],
             ["vminps %zmm0,%zmm1,%zmm2", "vmaxpd (%rax),%ymm1,%ymm2", "minss %xmm0,%xmm1", "maxsd %xmm0,%xmm1",
              "vrcp14ps %zmm0,%zmm1", "rcpss %xmm0,%xmm1", "vrsqrt28pd %zmm0,%zmm1", "rsqrtps %xmm0,%xmm1",
              "vrcpps %ymm0,%ymm1",
              "vgatherdps %ymm0,(%rax,%ymm1,4),%ymm2", "vpgatherqq (%rax,%zmm1,8),%zmm0{%k1}",
              "vscalefpd {rz-sae},%zmm0,%zmm1,%zmm2", "vaddps {ru-sae},%zmm0,%zmm1,%zmm2", "vfixupimmps $0x0,%zmm0,%zmm1,%zmm2", "vrangepd $0x0,%zmm0,%zmm1,%zmm2",
              "vgetexppd %zmm0,%zmm1", "vgetmantps $0x0,%zmm0,%zmm1", "ldmxcsr 0x4(%rsp)", "vldmxcsr 0x4(%rsp)",
              "fldcw 0x4(%rsp)", "fldl 0x8(%rsp)", "fildll (%rsp)", "fsincos"]),
            (ARM, ["fadd v0.2d, v1.2d, v2.2d", "fmla v0.4s, v1.4s, v2.4s", "fdiv d0, d1, d2", "fsqrt v0.2d, v0.2d",
                   "fcmgt v0.2d, v1.2d, v2.2d", "umax v0.4s, v1.4s, v2.4s", "mrs x0, fpcr"],
             ["fminnm v0.2d, v1.2d, v2.2d", "fmax s0, s1, s2", "fmaxp v0.2d, v1.2d, v2.2d", "fminnmv s0, v1.4s",
              "frecpe v0.4s, v1.4s", "frsqrte d0, d1", "frecps v0.2d, v1.2d, v2.2d", "fmulx d0, d1, d2", "msr fpcr, x0",
              "aese v0.16b, v1.16b", "pmull v0.1q, v1.1d, v2.1d"]),
        ]:
            for line in allowed:
                self.assertEqual(list(bad_instructions(f"  12:\t{line}\n", rules)), [], line)
            for line in forbidden:
                self.assertEqual(len(list(bad_instructions(f"0 <f>:\n  12:\t{line}\n", rules))), 1, line)
        for line in ("vfmadd132pd %xmm0,%xmm1,%xmm2", "vfnmsub231ss (%rax),%xmm0,%xmm1"):
            self.assertEqual(len(list(bad_instructions(f"  12:\t{line}\n", {"": X86_FMA}))), 1, line)

    def test_a_new_instruction_in_a_shared_function_is_seen(self):
        for newer in ("vmovups %ymm0,(%rax)", "shlx %rax,%rbx,%rcx", "kmovw %k1,%eax"):
            line = f"  12:\t{newer}\n"
            self.assertEqual(len(list(shared_newer_instructions("00 <_ZNSt6vectorIdE6resizeEm>:\n" + line))), 1, newer)
            self.assertEqual(list(shared_newer_instructions("00 <_ZN8flowloom5lanes6N_AVX210make_modelEv>:\n" + line)), [])
        self.assertEqual(list(shared_newer_instructions("00 <_ZNSt6vectorIdE6resizeEm>:\n  12:\tmovups %xmm0,(%rax)\n")), [])

    def test_every_elementary_function_is_seen(self):
        for name in ("exp", "logf", "tanhl", "sincos", "powf", "atan2", "__exp_finite", "_ZGVeN8v_exp", "_ZGVdN8v_sinf",
                     "_ZGVnN2v_log", "_ZGVbN4vv_powf", "cos@GLIBC_2.2.5"):
            self.assertEqual(list(elementary_symbols(f"                 U {name}\n")), [name])
        for name in ("fma", "fmaf", "sqrt", "memcpy", "_ZN8flowloom3logEv", "expand"):
            self.assertEqual(list(elementary_symbols(f"                 U {name}\n")), [])

    def test_every_flag_is_seen(self):
        def count(file, command):
            return len(list(bad_flags({"file": file, "command": command}, [file])))

        good = "c++ -O3 -ffp-contract=off -c x.cc"
        for flag in ("-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-ffinite-math-only", "-freciprocal-math",
                     "-fassociative-math", "-ffp-contract=fast", "-mrecip=all"):
            self.assertEqual(count("client/main.cc", f"{good} {flag}"), 1, flag)
            self.assertEqual(len(list(bad_rules(f"  LINK_FLAGS = -O2 {flag} -x"))), 1, flag)
        self.assertEqual(len(list(bad_rules("  LINK_LIBRARIES = /usr/lib/gcc/crtfastmath.o"))), 1)
        self.assertEqual(list(bad_rules("  FLAGS = -O3 -ffp-contract=off -fno-fast-math --fmad=false")), [])
        for file in ("math/x.cc", "spec/noise.cc", "lattice/x.cc", "flow/x.cc", "flow/lanes/x.cc"):
            self.assertEqual(count(file, good), 0)
            self.assertEqual(count(file, "c++ -O3 -c x.cc"), 1, file)
        self.assertEqual(count("client/main.cc", "c++ -O3 -c x.cc"), 0)
        good = "nvcc --fmad=false -Xcompiler=-fPIC,-ffp-contract=off -c x.cu"
        self.assertEqual(count("flow/cuda/x.cu", good), 0)
        for command in (good.replace("--fmad=false ", ""), good.replace(",-ffp-contract=off", ""), good + " --use_fast_math",
                        good + " -Xcompiler -ffast-math", good + " -ftz=true", good + " --prec-div=false"):
            self.assertEqual(count("flow/cuda/x.cu", command), 1, command)

    def test_every_call_of_the_c_library_is_seen(self):
        for line in ("return std::exp(x);", "std::tanh(x)", "x = ::log(y);", "__builtin_sinf(x)", "y = expf(x);",
                     "std::pow(x, 2)", "__expf(x)", "1 / rsqrt(x)", "__fmul_rz(a, b)"):
            self.assertEqual(len(list(bad_calls("x.inl", line))), 1, line)
        for line in ("return exp(x);", "flowloom::exp(x)", "// as std::exp(x)", "std::fma(a, b, c)", "std::sqrt(a)",
                     "log_target(x)", "turn(u).cos", "const auto [cos, sin] = turn(u);"):
            self.assertEqual(list(bad_calls("x.inl", line)), [], line)

    def test_every_instruction_of_a_gpu_that_would_break_the_bits_is_seen(self):
        for line in ("add.rn.f32 \t%f1, %f2, %f3;", "@%p1 fma.rn.f64 %fd1, %fd2, %fd3, %fd4;", "cvt.f64.f32 %fd1, %f1;",
                     "cvt.rn.f32.f64 %f1, %fd1;", "add.s64 %rd1, %rd2, %rd3;", "mul.lo.s32 %r1, %r2, %r3;",
                     "min.u32 %r1, %r2, %r3;", "setp.lt.f32 %p1, %f1, %f2;", "rcp.rn.f64 %fd1, %fd2;",
                     "neg.f64 %fd1, %fd2;", "cvt.rzi.s32.s64 %r1, %rd1;",
                     "max.f64 %fd1, %fd2, 0dBFF0000000000000;"):
            self.assertEqual(list(bad_ptx("\t" + line)), [], line)
        for line in ("add.f32 \t%f1, %f2, %f3;", "mul.f64 %fd1, %fd2, %fd3;", "sub.f32 %f1, %f2, %f3;",
                     "@!%p2 add.f64 %fd1, %fd1, %fd2;", "fma.rm.f32 %f1, %f2, %f3, %f4;",
                     "mad.f32 %f1, %f2, %f3, %f4;", "div.full.f32 %f1, %f2, %f3;",
                     "div.approx.f32 %f1, %f2, %f3;", "add.rn.ftz.f32 %f1, %f2, %f3;", "setp.lt.ftz.f32 %p1, %f1, %f2;",
                     "sqrt.approx.f32 %f1, %f2;", "rcp.approx.ftz.f64 %fd1, %fd2;", "rsqrt.approx.f32 %f1, %f2;",
                     "ex2.approx.f32 %f1, %f2;", "lg2.approx.f32 %f1, %f2;", "sin.approx.f32 %f1, %f2;",
                     "cos.approx.f32 %f1, %f2;", "tanh.approx.f32 %f1, %f2;", "max.f32 %f1, %f2, %f3;",
                     "max.f64 %fd1, %fd2, 0d8000000000000000;", "cvt.rz.f32.f64 %f1, %fd1;", "cvt.rn.f16.f32 %h1, %f1;",
                     "red.global.add.f32 [%rd1], %f1;", "atom.global.add.f64 %fd1, [%rd1], %fd2;"):
            self.assertEqual(len(list(bad_ptx("\t" + line))), 1, line)


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    sys.exit(unittest.main())
