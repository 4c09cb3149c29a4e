// Lets onnxruntime's one build (with WebGPU) run where WebAssembly cannot wait for JavaScript (JSPI): on the processor nothing waits.
// The export puts an import of this file at the head of onnxruntime's module, whose threads are workers of their own.

/** Whether WebAssembly can wait for JavaScript, as WebGPU needs. */
export const CAN_WAIT = "Suspending" in WebAssembly;

if (!CAN_WAIT) {
  WebAssembly.Suspending = function Suspending(wrapped) { return wrapped; };
  WebAssembly.promising = (wrapped) => async (...values) => wrapped(...values);
}
