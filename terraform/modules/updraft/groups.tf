# Who may connect to whom. Each line is one rule; nothing else is open.

locals {
  groups = {
    front    = "The balancer for people and agents' control"
    passage  = "The balancer that passes tunnels on"
    control  = "Control"
    edge     = "Edges"
    database = "Both Postgres servers"
  }

  opened = merge(
    { for cidr in var.allowed_cidrs : "front https ${cidr}" => { to = "front", port = 443, cidr = cidr } },
    { for cidr in var.allowed_cidrs : "passage tunnels ${cidr}" => { to = "passage", port = local.ports.tunnels, cidr = cidr } },
  )

  arrows = {
    "front to console"          = { from = "front", to = "control", port = local.ports.console }
    "front to agents' listener" = { from = "front", to = "control", port = local.ports.internal }
    "front to edge"             = { from = "front", to = "edge", port = local.ports.edge }
    "passage to edge"           = { from = "passage", to = "edge", port = local.ports.tunnels }
    "passage looks after edge"  = { from = "passage", to = "edge", port = local.ports.edge }
    "control to databases"      = { from = "control", to = "database", port = local.ports.postgres }
  }

  outward = {
    "control to AWS and tenants' providers" = { from = "control", port = 443 }
    "control to providers on 8443"          = { from = "control", port = 8443 }
    "control to a mail server"              = { from = "control", port = 465 }
    "control to a mail server by STARTTLS"  = { from = "control", port = 587 }
    "edges to control and AWS"              = { from = "edge", port = 443 }
  }
}

resource "aws_security_group" "this" {
  # checkov:skip=CKV2_AWS_5: each is, by its key: to a balancer, a launch template or the databases
  for_each    = local.groups
  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-${each.key}" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "opened" {
  for_each          = local.opened
  security_group_id = aws_security_group.this[each.value.to].id
  description       = each.key
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "arrow" {
  for_each                     = local.arrows
  security_group_id            = aws_security_group.this[each.value.from].id
  description                  = each.key
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "arrow" {
  for_each                     = local.arrows
  security_group_id            = aws_security_group.this[each.value.to].id
  description                  = each.key
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "outward" {
  for_each          = local.outward
  security_group_id = aws_security_group.this[each.value.from].id
  description       = each.key
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = local.tags
}
