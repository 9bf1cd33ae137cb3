"""Cameras that begin anew, and two of them on one line."""

from __future__ import annotations

import asyncio
import socket

import pytest

from hawkvision.client.async_client import AsyncClient
from hawkvision.lossy.wire.srtp import SUITES
from tests.edge_agent.streams.talking import opened, put, sender_of, told, until, url
from tests.lossy.photos import jpeg
from tests.processes import Service


async def test_a_plain_stream_belongs_to_its_first_address(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
        ):
            for number, out in enumerate((first, second, first)):
                for datagram in sender.frame(jpeg(number), 9000 * number):
                    out.sendto(datagram, (offer.host, offer.port))
        status = await until(client, offer.id, 2)
        assert status.packets.rejected > 0 and status.frames.answered == 2


async def test_a_plain_camera_begun_anew_is_answered_from_its_first_picture(
    agent: Service,
) -> None:
    """All of them come within the half second in which its first address may still go on."""
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none", deadline_ms=5000.0)
        await put(offer, list(sender_of(offer).frame(jpeg(1), 1)))
        again, pictures = sender_of(offer), 12
        burst = []
        for number in range(pictures):
            burst += list(again.frame(jpeg(number), 0x5000_0000 + 3600 * number))
        await put(offer, burst)
        status = await until(client, offer.id, 1 + pictures)
        assert [one.code for one in status.advice] == ["resumed"]
        assert status.packets.rejected == status.packets.lost == status.frames.failed == 0
        assert status.frames.answered == 1 + pictures


async def test_two_cameras_on_one_plain_line_are_told(agent: Service) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite="none")
        sender = sender_of(offer)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
        ):
            telling = asyncio.create_task(told(client, offer, "two_senders"))
            number = 0
            while not telling.done():
                number += 1
                for out in (one, two):
                    for datagram in sender.frame(jpeg(1), 9000 * number):
                        out.sendto(datagram, (offer.host, offer.port))
                await asyncio.sleep(0.05)
            await telling
        status = await client.stream_status(offer.id)
        assert status.frames.answered > 0 and status.packets.rejected > 0


@pytest.mark.parametrize("suite", SUITES)
async def test_a_camera_begun_anew_is_told_and_a_recording_is_not(
    agent: Service, suite: str
) -> None:
    async with AsyncClient(url(agent)) as client:
        offer = await opened(client, suite=suite)
        sender = sender_of(offer)
        sender._sequence = 30_000
        sent = [one for index in range(3) for one in sender.frame(jpeg(index), 9000 * index)]
        await put(offer, sent)
        await until(client, offer.id, 3)
        await put(offer, sent)
        await told(client, offer, "rejected")
        status = await client.stream_status(offer.id)
        assert [one.code for one in status.advice] == ["rejected"]
        again = sender_of(offer)
        again._sequence = 20_000
        await put(offer, again.frame(jpeg(1), 0x6000_0000))
        await told(client, offer, "restarted")
        ahead = sender_of(offer)
        ahead._sequence = 32_000
        await put(offer, ahead.frame(jpeg(1), 0x5000_0000))
        await told(client, offer, "resumed")
        status = await until(client, offer.id, 4)
        assert status.packets.lost == 0
