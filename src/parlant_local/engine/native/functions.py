"""The C functions that this package calls: their results and arguments. Every build has to export all of them."""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    c_bool,
    c_char_p,
    c_float,
    c_int,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from parlant_local.engine.native.structs import Batch, LogCallback, ModelParams

__all__ = ["signatures"]

# What the pointers point to is the library's business.
_Model = _Context = _Vocab = _Memory = _Adapter = _Device = c_void_p
_Token = _Position = _Sequence = c_int32
_Bytes = POINTER(c_uint8)


def signatures(context_params: type[ctypes.Structure]) -> dict[str, tuple[Any, list[Any]]]:
    """Result and arguments by the function's name; ``context_params`` differs between builds."""
    return {
        # the library
        "llama_backend_init": (None, []),
        "llama_log_set": (None, [LogCallback, c_void_p]),
        "llama_print_system_info": (c_char_p, []),
        "llama_supports_gpu_offload": (c_bool, []),
        "llama_max_devices": (c_size_t, []),
        # devices
        "ggml_backend_dev_count": (c_size_t, []),
        "ggml_backend_dev_get": (_Device, [c_size_t]),
        "ggml_backend_dev_name": (c_char_p, [_Device]),
        "ggml_backend_dev_description": (c_char_p, [_Device]),
        "ggml_backend_dev_memory": (None, [_Device, POINTER(c_size_t), POINTER(c_size_t)]),
        "ggml_backend_dev_type": (c_int, [_Device]),
        # models
        "llama_model_default_params": (ModelParams, []),
        "llama_model_load_from_file": (_Model, [c_char_p, ModelParams]),
        "llama_model_free": (None, [_Model]),
        "llama_model_chat_template": (c_char_p, [_Model, c_char_p]),
        "llama_model_desc": (c_int32, [_Model, c_char_p, c_size_t]),
        "llama_model_get_vocab": (_Vocab, [_Model]),
        "llama_model_has_decoder": (c_bool, [_Model]),
        "llama_model_is_hybrid": (c_bool, [_Model]),
        "llama_model_is_recurrent": (c_bool, [_Model]),
        "llama_model_meta_count": (c_int32, [_Model]),
        "llama_model_meta_key_by_index": (c_int32, [_Model, c_int32, c_char_p, c_size_t]),
        "llama_model_meta_val_str_by_index": (c_int32, [_Model, c_int32, c_char_p, c_size_t]),
        "llama_model_n_cls_out": (c_uint32, [_Model]),
        "llama_model_n_ctx_train": (c_int32, [_Model]),
        "llama_model_n_embd": (c_int32, [_Model]),
        "llama_model_n_embd_inp": (c_int32, [_Model]),
        "llama_model_n_embd_out": (c_int32, [_Model]),
        "llama_model_n_layer": (c_int32, [_Model]),
        "llama_model_n_params": (c_uint64, [_Model]),
        "llama_model_n_swa": (c_int32, [_Model]),
        # adapters
        "llama_adapter_lora_init": (_Adapter, [_Model, c_char_p]),
        "llama_set_adapter_cvec": (c_int32, [_Context, POINTER(c_float), c_size_t, c_int32, c_int32, c_int32]),
        "llama_set_adapters_lora": (c_int32, [_Context, POINTER(_Adapter), c_size_t, POINTER(c_float)]),
        # vocabularies
        "llama_tokenize": (c_int32, [_Vocab, c_char_p, c_int32, POINTER(_Token), c_int32, c_bool, c_bool]),
        "llama_token_to_piece": (c_int32, [_Vocab, _Token, c_char_p, c_int32, c_int32, c_bool]),
        "llama_vocab_bos": (_Token, [_Vocab]),
        "llama_vocab_eos": (_Token, [_Vocab]),
        "llama_vocab_eot": (_Token, [_Vocab]),
        "llama_vocab_fim_mid": (_Token, [_Vocab]),
        "llama_vocab_fim_pre": (_Token, [_Vocab]),
        "llama_vocab_fim_rep": (_Token, [_Vocab]),
        "llama_vocab_fim_sep": (_Token, [_Vocab]),
        "llama_vocab_fim_suf": (_Token, [_Vocab]),
        "llama_vocab_sep": (_Token, [_Vocab]),
        "llama_vocab_get_add_bos": (c_bool, [_Vocab]),
        "llama_vocab_get_add_eos": (c_bool, [_Vocab]),
        "llama_vocab_get_attr": (c_int, [_Vocab, _Token]),
        "llama_vocab_is_control": (c_bool, [_Vocab, _Token]),
        "llama_vocab_is_eog": (c_bool, [_Vocab, _Token]),
        "llama_vocab_n_tokens": (c_int32, [_Vocab]),
        "llama_vocab_type": (c_int, [_Vocab]),
        # contexts
        "llama_context_default_params": (context_params, []),
        "llama_init_from_model": (_Context, [_Model, context_params]),
        "llama_free": (None, [_Context]),
        "llama_pooling_type": (c_int, [_Context]),
        "llama_set_n_threads": (None, [_Context, c_int32, c_int32]),
        "llama_synchronize": (None, [_Context]),
        # batches
        "llama_batch_init": (Batch, [c_int32, c_int32, c_int32]),
        "llama_batch_free": (None, [Batch]),
        "llama_batch_get_one": (Batch, [POINTER(_Token), c_int32]),
        "llama_decode": (c_int32, [_Context, Batch]),
        "llama_encode": (c_int32, [_Context, Batch]),
        "llama_get_logits_ith": (POINTER(c_float), [_Context, c_int32]),
        "llama_get_embeddings_ith": (POINTER(c_float), [_Context, c_int32]),
        "llama_get_embeddings_seq": (POINTER(c_float), [_Context, _Sequence]),
        "llama_set_embeddings": (None, [_Context, c_bool]),
        # the memory of sequences
        "llama_get_memory": (_Memory, [_Context]),
        "llama_memory_clear": (None, [_Memory, c_bool]),
        "llama_memory_seq_cp": (None, [_Memory, _Sequence, _Sequence, _Position, _Position]),
        "llama_memory_seq_pos_max": (_Position, [_Memory, _Sequence]),
        "llama_memory_seq_rm": (c_bool, [_Memory, _Sequence, _Position, _Position]),
        "llama_state_get_size": (c_size_t, [_Context]),
        "llama_state_get_data": (c_size_t, [_Context, _Bytes, c_size_t]),
        "llama_state_set_data": (c_size_t, [_Context, _Bytes, c_size_t]),
        "llama_state_seq_get_size": (c_size_t, [_Context, _Sequence]),
        "llama_state_seq_get_data": (c_size_t, [_Context, _Bytes, c_size_t, _Sequence]),
        "llama_state_seq_set_data": (c_size_t, [_Context, _Bytes, c_size_t, _Sequence]),
    }
