"""The machine that the demo plays tells the same as the server it plays."""

from aitui.demo.hardware_script import hardware_output
from aitui.domain.hardware.host_sample import parse_host_sample
from aitui.domain.hardware.script import sample_command
from aitui.domain.memory.usage import memory_usage, port_of
from aitui.domain.models import ContextSize, Model, RunState
from aitui.domain.snapshot import Server
from aitui.llamaswap.client import LlamaSwapClient
from catalogue import QUICK
from stand_in import StandIn

MIB = 1 << 20


async def test_a_loaded_model_is_found_on_the_card(stand_in: StandIn, server: Server) -> None:
    async with LlamaSwapClient(server) as client:
        await client.load(QUICK)
        (running,) = await client.running()
        *_, sample = await client.performance()
    port = port_of(running.proxy)
    assert port is not None
    command = sample_command([port])
    found = parse_host_sample(hardware_output(command[2], command[3:], stand_in).encode(), 5.0)
    assert found.whole
    assert found.errors == ()
    model = Model(QUICK, state=RunState.READY, proxy=running.proxy, context=ContextSize(8192))
    picture = memory_usage(sample, [model], host=found)
    (card,) = picture.cards
    (share,) = card.models
    assert (share.model, share.used_bytes, share.approximate) == (QUICK, 4096 * MIB, False)
    assert card.others == 612 * MIB
    assert card.gpu.total_bytes == sample.gpus[0].total_bytes
    assert card.gpu.key == sample.gpus[0].key


async def test_an_empty_machine_has_its_card_and_others_alone(stand_in: StandIn) -> None:
    command = sample_command([])
    found = parse_host_sample(hardware_output(command[2], command[3:], stand_in).encode(), 5.0)
    (card,) = memory_usage(None, [], host=found).cards
    assert card.models == ()
    assert card.others == 612 * MIB
