// RUN: not wgpu-opt %s -p canonicalise 2>&1 | filecheck %s --check-prefix=PASS
// RUN: not wgpu-opt %s --pass-pipeline='builtin.module(cse,func.func(csee))' 2>&1 | filecheck %s --check-prefix=NESTED
// RUN: not wgpu-opt %s --pass-pipeline='builtin.module(func.func(cse)' 2>&1 | filecheck %s --check-prefix=OPEN
// RUN: not wgpu-opt %s --pass-pipeline='cse' 2>&1 | filecheck %s --check-prefix=ANCHOR
// RUN: not wgpu-opt %s -p 'scf-parallel-loop-tiling{parallel-loop-tile-size=4}' 2>&1 | filecheck %s --check-prefix=OPTION
// RUN: not wgpu-opt %s -p 'scf-parallel-loop-tiling{parallel-loop-tile-sizes=no}' 2>&1 | filecheck %s --check-prefix=VALUE
// RUN: not wgpu-opt %s -p 'cse{' 2>&1 | filecheck %s --check-prefix=BRACE
// RUN: not wgpu-opt %s --csee 2>&1 | filecheck %s --check-prefix=FLAG
// RUN: not wgpu-opt %s --print-ir-after=csee 2>&1 | filecheck %s --check-prefix=PRINT
// RUN: not wgpu-opt %s -t stepwell-wsgl 2>&1 | filecheck %s --check-prefix=FORMAT
// RUN: not wgpu-opt %s --pass-pipeline='builtin.module(cse)' --cse 2>&1 | filecheck %s --check-prefix=BOTH
// RUN: not wgpu-opt %s.nothing 2>&1 | filecheck %s --check-prefix=FILE

// PASS:      <-p>:1:1: error: unknown pass 'canonicalise'; did you mean 'canonicalize'?
// PASS-NEXT: canonicalise
// PASS-NEXT: ^

// NESTED:      <--pass-pipeline>:1:30: error: unknown pass 'csee'; did you mean 'cse'?
// NESTED-NEXT: builtin.module(cse,func.func(csee))
// NESTED-NEXT: {{^ {29}\^$}}

// OPEN: <--pass-pipeline>:1:15: error: this '(' is not closed

// ANCHOR: error: a pipeline has the form 'builtin.module(pass,...)'

// OPTION: error: pass 'scf-parallel-loop-tiling' has no option 'parallel-loop-tile-size'; did you mean 'parallel-loop-tile-sizes'?

// VALUE: error: options of pass 'scf-parallel-loop-tiling': Incompatible types

// BRACE: <-p>:1:4: error: these options are not closed

// FLAG: wgpu-opt: error: unknown option '--csee'; did you mean '--cse'?

// PRINT: wgpu-opt: error: unknown pass 'csee'; did you mean 'cse'?

// FORMAT: wgpu-opt: error: unknown output format 'stepwell-wsgl'; did you mean 'stepwell-wgsl'?

// BOTH: wgpu-opt: error: --pass-pipeline and single passes cannot be combined

// FILE: wgpu-opt: error: cannot open input file '{{.*}}': No such file or directory
