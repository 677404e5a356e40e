"""What each call asks of the policies of whoever makes it: on which resources, with which keys.

By https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (read November 2026), and for
what is tagged as it is made, spot requests among it, by
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html.

What is not there, or not known everywhere yet, has no tags: whoever may end only what has some is refused it, and not
told that it is gone (https://github.com/runs-on/terraform-aws-runs-on/issues/60).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

from datacentre.answers import RefusedError
from datacentre.call import Call
from datacentre.policies import Asked, allows, names

PARTITION = "aws"
ON_INSTANCES = ("StartInstances", "StopInstances", "TerminateInstances", "RebootInstances")
ON_GROUPS = (
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "DeleteSecurityGroup",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
)
KINDS = {"i": "instance", "vol": "volume", "sg": "security-group", "eni": "network-interface", "subnet": "subnet"}
# With these RunInstances is about resources more, which nobody asks for here.
NOT_PLAYED = ("CapacityReservation", "Elastic", "LaunchTemplate", "License", "Placement.Group", "Placement.Host")
Context = dict[str, str | list[str]]


@dataclass(frozen=True)
class Session:
    """A role that was assumed."""

    account: str
    arn: str
    policies: list[str]
    """What the session was limited to as it began, if it was."""
    limit: str | None = None

    def may(self, asked: Asked) -> bool:
        return allows(self.policies, asked) and (self.limit is None or allows([self.limit], asked))


def check(call: Call, session: Session, is_listed: Callable[[str], bool]) -> None:
    """Raises what AWS answers."""
    action = f"{call.service}:{call.action}"
    if action == "sts:GetCallerIdentity":
        return
    if not names(session.policies, action):
        raise _refusal(call, session, Asked(action, "*"))
    for asked in Authorization(call, session.account, is_listed).all():
        if not session.may(asked):
            raise _refusal(call, session, asked)


def _refusal(call: Call, session: Session, asked: Asked) -> RefusedError:
    who = f"{session.arn} is not authorized to perform: {asked.action} on resource: {asked.resource}"
    why = f"User: {who} because no identity-based policy allows the {asked.action} action"
    match call.service:
        case "ec2":
            return RefusedError(
                "UnauthorizedOperation", f"You are not authorized to perform this operation. {why}", 403
            )
        case "ssm":
            return RefusedError("AccessDeniedException", why)
    return RefusedError("AccessDenied", why, 403)


class Authorization:
    def __init__(self, call: Call, account: str, is_listed: Callable[[str], bool]) -> None:
        self._call = call
        self._params = call.params
        self._account = account
        self._is_listed = is_listed
        self._ec2 = ec2_backends[account][call.region]
        self._everywhere: Context = {"aws:RequestedRegion": call.region}

    def all(self) -> Iterator[Asked]:
        match self._call.service, self._call.action:
            case "ec2", "RunInstances":
                yield from self._launch()
            case "ec2", "CreateSecurityGroup":
                made = self._tags_of("security-group")
                yield self._asked("security-group/*", _requested(made))
                yield self._asked(f"vpc/{self._params.get('VpcId', '')}", {"ec2:VpcID": self._params.get("VpcId", "")})
                yield from self._tagging("security-group", made)
            case "ec2", action if action in ON_INSTANCES:
                yield from (self._existing("instance", one) for one in self._call.listed("InstanceId"))
            case "ec2", action if action in ON_GROUPS:
                yield self._existing("security-group", self._params.get("GroupId", ""))
                if made := self._tags_of("security-group-rule"):
                    yield self._asked("security-group-rule/*", _requested(made))
                    yield from self._tagging("security-group-rule", made)
            case "ec2", "DeleteVolume":
                yield self._existing("volume", self._params.get("VolumeId", ""))
            case "ec2", ("CreateTags" | "DeleteTags"):
                tags = _numbered_tags(self._params, "Tag")
                for one in self._call.listed("ResourceId"):
                    yield self._existing(KINDS[one.split("-")[0]], one, _requested(tags))
            case "ec2", "DescribeVpcAttribute":
                yield self._existing("vpc", self._params.get("VpcId", ""))
            case "ec2", action if action.startswith("Describe"):
                yield Asked(f"ec2:{action}", "*", self._everywhere | {"ec2:Region": self._call.region})
            case "ssm", ("GetParameter" | "GetParameters"):
                asked = self._call.json()
                for name in asked.get("Names", [asked.get("Name", "")]):
                    yield self._parameter(f"ssm:{self._call.action}", name)
            case "sts", "AssumeRole":
                yield Asked("sts:AssumeRole", self._params.get("RoleArn", ""), self._everywhere)
            case service, action:
                raise RefusedError(
                    "InternalError", f"which resources {service}:{action} is about is not known here", 500
                )

    def _launch(self) -> Iterator[Asked]:
        for name in self._params:
            if name.startswith(NOT_PLAYED):
                raise RefusedError("InternalError", f"what {name} is allowed by is not known here", 500)
        market = self._params.get("InstanceMarketOptions.MarketType", "on-demand")
        instance: Context = {
            "ec2:InstanceType": self._params.get("InstanceType", "m1.small"),
            "ec2:InstanceMarketType": market,
            "ec2:Tenancy": self._params.get("Placement.Tenancy", "default"),
        }
        for name in ("HttpEndpoint", "HttpTokens", "HttpPutResponseHopLimit"):
            if value := self._params.get(f"MetadataOptions.{name}"):
                instance[f"ec2:Metadata{name}"] = value
        profile = self._profile()
        if profile:
            instance["ec2:InstanceProfile"] = profile.arn
        yield self._asked("instance/*", instance | _requested(self._tags_of("instance")))
        image = yield from self._image()
        yield from self._volumes(image)
        yield from self._interfaces()
        if pair := self._params.get("KeyName"):
            yield self._asked(f"key-pair/{pair}", {"ec2:KeyPairName": pair})
        # A spot request that is given no tags is not looked at.
        if spot := self._tags_of("spot-instances-request"):
            yield self._asked("spot-instances-request/*", _requested(spot))
        for number in _numbers(self._params, r"TagSpecification\.(\d+)\.ResourceType"):
            kind = self._params[f"TagSpecification.{number}.ResourceType"]
            yield from self._tagging(kind, self._tags_of(kind))
        for role in profile.roles if profile else []:
            passed: Context = {
                "iam:PassedToService": "ec2.amazonaws.com",
                "iam:AssociatedResourceArn": self._arn("instance/*"),
            }
            yield Asked("iam:PassRole", role.arn, self._everywhere | passed)

    def _image(self) -> Generator[Asked, None, Any]:
        name = self._params.get("ImageId", "")
        if name.startswith("resolve:ssm:"):
            parameter = name.removeprefix("resolve:ssm:")
            yield self._parameter("ssm:GetParameters", parameter)
            found = ssm_backends[self._account][self._call.region].get_parameter(parameter)
            name = found.value if found else ""
        image = self._ec2.amis.get(name)
        # One that is not there is told so: its owner is looked up first.
        if image:
            kept: Context = {
                "ec2:ImageID": name,
                "ec2:Owner": image.owner_alias or image.owner_id,
                "ec2:RootDeviceType": image.root_device_type,
            }
            yield Asked(
                "ec2:RunInstances", f"arn:{PARTITION}:ec2:{self._call.region}::image/{name}", self._everywhere | kept
            )
        return image

    def _volumes(self, image: Any) -> Iterator[Asked]:
        """Those that are asked for, and the image's root as it is in the image where that is not among them."""
        numbers = _numbers(self._params, r"BlockDeviceMapping\.(\d+)\.DeviceName")
        devices = [self._params[f"BlockDeviceMapping.{number}.DeviceName"] for number in numbers]
        ebs = [f"BlockDeviceMapping.{number}.Ebs." for number in numbers]
        if image and image.root_device_name not in devices:
            ebs.append("")
        for prefix in ebs:
            asked = {
                name: self._params.get(f"{prefix}{name}", "") if prefix else "" for name in ("Encrypted", "VolumeType")
            }
            snapshot = self._params.get(f"{prefix}SnapshotId") if prefix else None
            volume: Context = {
                "ec2:Encrypted": asked["Encrypted"] or "false",
                "ec2:VolumeType": asked["VolumeType"] or "gp2",
            }
            yield self._asked("volume/*", volume | _requested(self._tags_of("volume")))
            if snapshot:
                arn = f"arn:{PARTITION}:ec2:{self._call.region}::snapshot/{snapshot}"
                yield Asked("ec2:RunInstances", arn, self._everywhere)

    def _interfaces(self) -> Iterator[Asked]:
        numbers = _numbers(self._params, r"NetworkInterface\.(\d+)\..+")
        for prefix in [f"NetworkInterface.{number}." for number in numbers] or [""]:
            subnet = self._subnet(self._params.get(f"{prefix}SubnetId"))
            where: Context = {"ec2:Vpc": self._arn(f"vpc/{subnet.vpc_id}")} if subnet else {}
            name = subnet.id if subnet else self._params.get(f"{prefix}SubnetId", "")
            asked: Context = {"ec2:Subnet": self._arn(f"subnet/{name}")}
            if public := self._params.get(f"{prefix}AssociatePublicIpAddress"):
                asked["ec2:AssociatePublicIpAddress"] = public
            if given := self._params.get(f"{prefix}NetworkInterfaceId"):
                yield self._existing("network-interface", given)
                continue
            yield self._asked("network-interface/*", asked | where | _requested(self._tags_of("network-interface")))
            yield self._existing("subnet", name, where | {"ec2:SubnetID": name})
            groups = self._call.listed(f"{prefix}SecurityGroupId")
            for group in groups or ([self._default_group(subnet.vpc_id)] if subnet else []):
                yield self._existing("security-group", group, where | {"ec2:SecurityGroupID": group})

    def _subnet(self, name: str | None) -> Any:
        """The first zone's default one, if none is named."""
        known = sorted(
            (one for zone in self._ec2.subnets.values() for one in zone.values()), key=lambda one: str(one.id)
        )
        wanted = (one for one in known if (one.id == name if name else str(one.default_for_az).lower() == "true"))
        return next(wanted, None)

    def _default_group(self, vpc: str) -> str:
        return next(str(group.id) for group in self._ec2.groups[vpc].values() if group.name == "default")

    def _profile(self) -> Any:
        """By name or ARN. One that is not there is told so, and passes no role."""
        name = self._params.get(
            "IamInstanceProfile.Name", self._params.get("IamInstanceProfile.Arn", "").split("/")[-1]
        )
        profiles = iam_backends[self._account][PARTITION].get_instance_profiles()
        return next((profile for profile in profiles if profile.name == name), None)

    def _parameter(self, action: str, name: str) -> Asked:
        account = "" if name.startswith("/aws/service/") else self._account
        arn = f"arn:{PARTITION}:ssm:{self._call.region}:{account}:parameter/{name.removeprefix('/')}"
        return Asked(action, arn, self._everywhere)

    def _existing(self, kind: str, name: str, context: Context | None = None) -> Asked:
        """With its tags, once everybody knows it."""
        is_known = kind != "instance" or self._is_listed(name)
        tags = dict(self._ec2.tags.get(name, {})) if is_known and self._is_there(kind, name) else {}
        held: Context = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        held |= {f"ec2:ResourceTag/{key}": value for key, value in tags.items()}
        return self._asked(f"{kind}/{name}", held | (context or {}))

    def _is_there(self, kind: str, name: str) -> bool:
        match kind:
            case "volume":
                return name in self._ec2.volumes
            case "security-group":
                return any(name in groups for groups in self._ec2.groups.values())
        return True

    def _asked(self, resource: str, context: Context) -> Asked:
        region: Context = {"ec2:Region": self._call.region}
        return Asked(f"ec2:{self._call.action}", self._arn(resource), self._everywhere | region | context)

    def _tagging(self, kind: str, tags: dict[str, str]) -> Iterator[Asked]:
        """What is tagged as it is made takes the permission to tag, too."""
        if tags:
            made: Context = {"ec2:CreateAction": self._call.action}
            yield Asked("ec2:CreateTags", self._arn(f"{kind}/*"), self._everywhere | made | _requested(tags))

    def _tags_of(self, kind: str) -> dict[str, str]:
        """What the call gives to all of this kind that it makes."""
        numbers = _numbers(self._params, r"TagSpecification\.(\d+)\.ResourceType")
        found = [n for n in numbers if self._params[f"TagSpecification.{n}.ResourceType"] == kind]
        return {
            key: value
            for n in found
            for key, value in _numbered_tags(self._params, f"TagSpecification.{n}.Tag").items()
        }

    def _arn(self, resource: str) -> str:
        return f"arn:{PARTITION}:ec2:{self._call.region}:{self._account}:{resource}"


def _numbers(params: dict[str, str], pattern: str) -> list[int]:
    return sorted({int(match[1]) for name in params if (match := re.fullmatch(pattern, name))})


def _numbered_tags(params: dict[str, str], prefix: str) -> dict[str, str]:
    numbers = _numbers(params, rf"{re.escape(prefix)}\.(\d+)\.Key")
    return {params[f"{prefix}.{n}.Key"]: params.get(f"{prefix}.{n}.Value", "") for n in numbers}


def _requested(tags: dict[str, str]) -> Context:
    asked: Context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return asked | ({"aws:TagKeys": list(tags)} if tags else {})
