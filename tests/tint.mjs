// Validates WGSL with Tint, Chromium's shader compiler, on a device that does nothing.
// Standard input: one JSON string with WGSL a line. Standard output: for each a line of JSON, the
// list of its errors. The npm package `webgpu` is looked for in the folder NODE_WEBGPU or here.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import path from 'node:path';

const folder = process.env.NODE_WEBGPU ?? import.meta.dirname ?? '.';
const require = createRequire(path.join(path.resolve(folder), 'package.json'));
const { create, globals } = require('webgpu');
Object.assign(globalThis, globals);

const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
const wanted = ['shader-f16', 'subgroups'];
const device = await adapter.requestDevice({
  requiredFeatures: wanted.filter((feature) => adapter.features.has(feature)),
});

for await (const line of createInterface({ input: process.stdin })) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: JSON.parse(line) });
  const messages = (await module.getCompilationInfo()).messages
    .filter((message) => message.type === 'error')
    .map((message) => `${message.lineNum}:${message.linePos}: ${message.message}`);
  if (messages.length === 0) {
    // Workgroup sizes, memory and uniformity of the entry point are checked with the pipeline.
    await device.createComputePipelineAsync({ layout: 'auto', compute: { module } }).catch((error) => {
      messages.push(error.message);
    });
  }
  await device.popErrorScope();
  console.log(JSON.stringify(messages));
}
process.exit(0);
