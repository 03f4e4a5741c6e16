"""npgpt: a GPT in NumPy alone, every layer with its backward pass written by hand.

In reading order:

    layers/     linear, embedding, layer_norm, activations, softmax, attention, causal_attention,
                self_attention, feed_forward, dropout, cross_entropy
                            each a pair of pure functions, forward directly above backward
    model/      config      what a GPT is made of
                parameters  one flat vector, and named views of it
                layers      who computes those that hold matrices
                block, gpt  the layers assembled, and the way back
                shared      the same layers, each on several threads
                presets     configurations by name
    text/       characters, raw_bytes, tokenizer, tokenizer_json, corpus
                            text <-> token ids -> batches
                pre_tokens, unicode_classes, byte_pair, byte_pair_training, byte_pair_files
                            GPT-2's tokenizer
    training/   schedule, adamw, trainer, evaluation
                            the loop, and what it needs
                parallel, footprint, interrupt
                            how it gets all cores, what memory it takes, and how it stops when asked
                metrics, checkpoint, recorder, lock
                            what it leaves on the disk, and goes on from
    generation/ sampling, generate, beam_search
                views, kv_cache, cached_gpt, prompt, one_token
                            each token read once: a prompt in a few passes, one alone in the fewest calls
    checking/   derivatives, contract, layer, model, report, catalogue
                            hand-written gradients against numerical ones
    interop/    safetensors, weights, huggingface
                            model directories that transformers opens
    looking/    intermediates, observer, statistics, trace, attention, metrics
                            what a pass computes, what heads look at, how training went
                axis, heat_map, terminal_curve, trace_table, page, attention_page, plot_page
                            and how that is shown
    machine/    blas, threads, memory
                            threads of a matrix product, calls made at once, and memory that is kept
    commands/   one file a subcommand, and what they share
    files, errors           written whole or not at all; what a user can mend
"""
