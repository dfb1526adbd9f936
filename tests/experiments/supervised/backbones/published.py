"""Keys and shapes of public checkpoints, derived from the published architectures, not from our networks."""

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, outputs: int, inputs: int, *kernel: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def hugging_face_dinov2(
    width: int, depth: int, patch: int, picture: int, registers: int = 0, swiglu: bool = False
) -> Shapes:
    """`Dinov2Model`, or with registers `Dinov2WithRegistersModel`."""
    found: Shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, 1 + (picture // patch) ** 2, width),
        **linear("embeddings.patch_embeddings.projection", width, 3, patch, patch),
        **norm("layernorm", width),
    }
    if registers:
        found["embeddings.register_tokens"] = (1, registers, width)
    for i in range(depth):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            found |= linear(f"{layer}.attention.attention.{part}", width, width)
        found |= linear(f"{layer}.attention.output.dense", width, width)
        found |= norm(f"{layer}.norm1", width) | norm(f"{layer}.norm2", width)
        found |= {f"{layer}.layer_scale{k}.lambda1": (width,) for k in (1, 2)}
        if swiglu:
            inside = (int(4 * width * 2 / 3) + 7) // 8 * 8
            found |= linear(f"{layer}.mlp.weights_in", 2 * inside, width)
            found |= linear(f"{layer}.mlp.weights_out", width, inside)
        else:
            found |= linear(f"{layer}.mlp.fc1", 4 * width, width) | linear(f"{layer}.mlp.fc2", width, 4 * width)
    return found


def dinov2_teacher(
    width: int, depth: int, patch: int, picture: int, registers: int = 0, swiglu: bool = False, chunks: int = 0
) -> Shapes:
    """A teacher of DINOv2's own training: blocks in chunks, numbered through, and the heads of the training beside."""
    found: Shapes = {
        "backbone.cls_token": (1, 1, width),
        "backbone.mask_token": (1, width),
        "backbone.pos_embed": (1, 1 + (picture // patch) ** 2, width),
        **linear("backbone.patch_embed.proj", width, 3, patch, patch),
        **norm("backbone.norm", width),
        **linear("dino_head.mlp.0", 2048, width),
        **linear("ibot_head.mlp.0", 2048, width),
    }
    if registers:
        found["backbone.register_tokens"] = (1, registers, width)
    for i in range(depth):
        block = f"backbone.blocks.{i // (depth // chunks)}.{i}" if chunks else f"backbone.blocks.{i}"
        found |= norm(f"{block}.norm1", width) | norm(f"{block}.norm2", width)
        found |= linear(f"{block}.attn.qkv", 3 * width, width) | linear(f"{block}.attn.proj", width, width)
        found |= {f"{block}.ls{k}.gamma": (width,) for k in (1, 2)}
        if swiglu:
            inside = (int(4 * width * 2 / 3) + 7) // 8 * 8
            found |= linear(f"{block}.mlp.w12", 2 * inside, width) | linear(f"{block}.mlp.w3", width, inside)
        else:
            found |= linear(f"{block}.mlp.fc1", 4 * width, width) | linear(f"{block}.mlp.fc2", width, 4 * width)
    return found


def torchvision_vit() -> Shapes:
    """`vit_b_16`."""
    width = 768
    found: Shapes = {
        "class_token": (1, 1, width),
        "encoder.pos_embedding": (1, 197, width),
        **linear("conv_proj", width, 3, 16, 16),
        **norm("encoder.ln", width),
        **linear("heads.head", 1000, width),
    }
    for i in range(12):
        layer = f"encoder.layers.encoder_layer_{i}"
        found |= norm(f"{layer}.ln_1", width) | norm(f"{layer}.ln_2", width)
        found |= {f"{layer}.self_attention.in_proj_weight": (3 * width, width)}
        found |= {f"{layer}.self_attention.in_proj_bias": (3 * width,)}
        found |= linear(f"{layer}.self_attention.out_proj", width, width)
        found |= linear(f"{layer}.mlp.0", 4 * width, width) | linear(f"{layer}.mlp.3", width, 4 * width)
    return found


def timm_vit() -> Shapes:
    """`vit_base_patch16_224`."""
    width = 768
    found: Shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 197, width),
        **linear("patch_embed.proj", width, 3, 16, 16),
        **norm("norm", width),
        **linear("head", 1000, width),
    }
    for i in range(12):
        found |= norm(f"blocks.{i}.norm1", width) | norm(f"blocks.{i}.norm2", width)
        found |= linear(f"blocks.{i}.attn.qkv", 3 * width, width) | linear(f"blocks.{i}.attn.proj", width, width)
        found |= linear(f"blocks.{i}.mlp.fc1", 4 * width, width) | linear(f"blocks.{i}.mlp.fc2", width, 4 * width)
    return found


def resnet50() -> Shapes:
    """torchvision's and timm's names are the same."""

    def batch_norm(name: str, width: int) -> Shapes:
        means: Shapes = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}
        return norm(name, width) | means | {f"{name}.num_batches_tracked": ()}

    found: Shapes = {"conv1.weight": (64, 3, 7, 7), **batch_norm("bn1", 64), **linear("fc", 1000, 2048)}
    before = 64
    for stage, (inner, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for i in range(blocks):
            block = f"layer{stage}.{i}"
            found[f"{block}.conv1.weight"] = (inner, before, 1, 1)
            found[f"{block}.conv2.weight"] = (inner, inner, 3, 3)
            found[f"{block}.conv3.weight"] = (4 * inner, inner, 1, 1)
            for k, width in ((1, inner), (2, inner), (3, 4 * inner)):
                found |= batch_norm(f"{block}.bn{k}", width)
            if i == 0:
                found[f"{block}.downsample.0.weight"] = (4 * inner, before, 1, 1)
                found |= batch_norm(f"{block}.downsample.1", 4 * inner)
            before = 4 * inner
    return found


WIDTHS, BLOCKS = (96, 192, 384, 768), (3, 3, 9, 3)


def torchvision_convnext() -> Shapes:
    """`convnext_tiny`."""
    found = linear("features.0.0", 96, 3, 4, 4) | norm("features.0.1", 96)
    for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        for i in range(blocks):
            block = f"features.{2 * stage + 1}.{i}"
            found |= linear(f"{block}.block.0", width, 1, 7, 7) | norm(f"{block}.block.2", width)
            found |= linear(f"{block}.block.3", 4 * width, width) | linear(f"{block}.block.5", width, 4 * width)
            found[f"{block}.layer_scale"] = (width, 1, 1)
        if stage < 3:
            found |= norm(f"features.{2 * stage + 2}.0", width)
            found |= linear(f"features.{2 * stage + 2}.1", 2 * width, width, 2, 2)
    return found | norm("classifier.0", 768) | linear("classifier.2", 1000, 768)


def timm_convnext() -> Shapes:
    """`convnext_tiny`."""
    found = linear("stem.0", 96, 3, 4, 4) | norm("stem.1", 96)
    for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        for i in range(blocks):
            block = f"stages.{stage}.blocks.{i}"
            found |= linear(f"{block}.conv_dw", width, 1, 7, 7) | norm(f"{block}.norm", width)
            found |= linear(f"{block}.mlp.fc1", 4 * width, width) | linear(f"{block}.mlp.fc2", width, 4 * width)
            found[f"{block}.gamma"] = (width,)
        if stage:
            found |= norm(f"stages.{stage}.downsample.0", width // 2)
            found |= linear(f"stages.{stage}.downsample.1", width, width // 2, 2, 2)
    return found | norm("head.norm", 768) | linear("head.fc", 1000, 768)
