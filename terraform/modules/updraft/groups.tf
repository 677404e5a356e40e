# Who may connect to whom. Each line is one rule; nothing else is open.
#
# EC2 takes no apostrophe in names and descriptions (nor much else): tests/terraform/check.py looks at every text of this file.

locals {
  groups = {
    front    = "The balancer for people and for what agents and edges ask of control"
    passage  = "The balancer that passes tunnels on"
    control  = "Control"
    edge     = "Edges"
    database = "The Postgres server of control"
    metadata = "The Postgres server of clusters"
  }

  # Edges ask control by its public name, so they leave by the NAT gateways and come in again: narrowed or not, these are let in.
  # By number, since addresses that are made are known later; EC2 takes no rule twice.
  edges_let_in = local.made ? local.edges_come_from : [for cidr in local.edges_come_from : cidr if !contains(var.allowed_cidrs, cidr)]
  opened = merge(
    { for cidr in var.allowed_cidrs : "front https ${cidr}" => { to = "front", port = 443, cidr = cidr } },
    { for index, cidr in local.edges_let_in : "front https from edges ${index}" => { to = "front", port = 443, cidr = cidr } },
    { for cidr in var.allowed_cidrs : "passage tunnels ${cidr}" => { to = "passage", port = local.ports.tunnels, cidr = cidr } },
  )

  arrows = {
    "front to console"               = { from = "front", to = "control", port = local.ports.console }
    "front to the agents listener"   = { from = "front", to = "control", port = local.ports.internal }
    "front to edge"                  = { from = "front", to = "edge", port = local.ports.edge }
    "passage to edge"                = { from = "passage", to = "edge", port = local.ports.tunnels }
    "passage looks after edge"       = { from = "passage", to = "edge", port = local.ports.edge }
    "control to its database"        = { from = "control", to = "database", port = local.ports.postgres }
    "control to the metadata server" = { from = "control", to = "metadata", port = local.ports.postgres }
  }

  outward = {
    "control to AWS and providers of tenants" = { from = "control", port = 443 }
    "control to providers on 8443"            = { from = "control", port = 8443 }
    "control to a mail server"                = { from = "control", port = 465 }
    "control to a mail server by STARTTLS"    = { from = "control", port = 587 }
    "edges to control and AWS"                = { from = "edge", port = 443 }
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

# Nodes use the metadata server alone, from networks that routes lead from: docs/runbook.md, "Networks of nodes".
resource "aws_vpc_security_group_ingress_rule" "nodes" {
  for_each          = toset(var.nodes.cidrs)
  security_group_id = aws_security_group.this["metadata"].id
  description       = "nodes to their metadata"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ports.postgres
  to_port           = local.ports.postgres
  tags              = local.tags
}
