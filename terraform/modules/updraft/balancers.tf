# Two ways in. People's https ends at the first; the second passes agents' tunnels on as they are, since edges prove
# themselves to agents by certificates of control's own.

locals {
  hosts = {
    console = [var.domain]
    airflow = ["*.${var.airflow_domain}"]
    agents  = ["agents.${var.domain}"]
  }
  edges_come_from = local.made ? [for address in aws_eip.nat : "${address.public_ip}/32"] : var.network.egress_cidrs

  # Towards whom, for which hosts, which paths, and from where.
  rules = {
    console = { priority = 10, to = "console", hosts = local.hosts.console, paths = [], from = [] }
    airflow = { priority = 20, to = "edge", hosts = local.hosts.airflow, paths = [], from = [] }
    agents  = { priority = 30, to = "internal", hosts = local.hosts.agents, paths = ["/agent/*"], from = [] }
    edges   = { priority = 40, to = "internal", hosts = local.hosts.agents, paths = ["/edge/*"], from = local.edges_come_from }
  }
  targets = {
    console  = { port = local.ports.console, health = "/api/v1/health", asked = local.ports.console }
    internal = { port = local.ports.internal, health = "/api/v1/health", asked = local.ports.console }
    edge     = { port = local.ports.edge, health = "/_updraft/health", asked = local.ports.edge }
  }
}

resource "aws_lb" "front" {
  # checkov:skip=CKV2_AWS_28: edges limit and judge requests themselves; a web ACL is the installation's to choose
  name                       = "${var.name}-front"
  load_balancer_type         = "application"
  subnets                    = local.public_ids
  security_groups            = [aws_security_group.this["front"].id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protect
  tags                       = local.tags

  # Longer than an agent's long poll and Airflow's slowest answer; shorter than what edges wait for a connection's next request
  # (150 s; control waits without end). If they closed it first, a request that is on its way to them would be a 502.
  idle_timeout = 120

  access_logs {
    bucket  = aws_s3_bucket.this["access"].id
    prefix  = "balancers/front"
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.this]
}

resource "aws_lb_target_group" "front" {
  # checkov:skip=CKV_AWS_378: TLS ends at the balancer; these ports are open to it alone, inside the VPC
  for_each             = local.targets
  name                 = "${var.name}-${each.key}"
  vpc_id               = local.vpc_id
  port                 = each.value.port
  protocol             = "HTTP"
  deregistration_delay = 30
  tags                 = local.tags

  health_check {
    port                = each.value.asked
    path                = each.value.health
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "front" {
  load_balancer_arn = aws_lb.front.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn
  tags              = local.tags

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "There is nothing at this name."
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "front" {
  for_each     = local.rules
  listener_arn = aws_lb_listener.front.arn
  priority     = each.value.priority
  tags         = local.tags

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.front[each.value.to].arn
  }

  condition {
    host_header {
      values = each.value.hosts
    }
  }

  dynamic "condition" {
    for_each = length(each.value.paths) > 0 ? [each.value.paths] : []

    content {
      path_pattern {
        values = condition.value
      }
    }
  }

  dynamic "condition" {
    for_each = length(each.value.from) > 0 ? [each.value.from] : []

    content {
      source_ip {
        values = condition.value
      }
    }
  }
}

resource "aws_lb" "passage" {
  # checkov:skip=CKV_AWS_91: a network balancer logs listeners of TLS only, and this one passes TLS on; edges log tunnels
  name                             = "${var.name}-passage"
  load_balancer_type               = "network"
  subnets                          = local.public_ids
  security_groups                  = [aws_security_group.this["passage"].id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.protect
  tags                             = local.tags
}

resource "aws_lb_target_group" "passage" {
  name                   = "${var.name}-tunnels"
  vpc_id                 = local.vpc_id
  port                   = local.ports.tunnels
  protocol               = "TCP"
  preserve_client_ip     = false
  deregistration_delay   = 60
  connection_termination = false # a tunnel ends when its edge has drained it
  tags                   = local.tags

  health_check {
    protocol            = "HTTP"
    port                = local.ports.edge
    path                = "/_updraft/health"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "passage" {
  load_balancer_arn = aws_lb.passage.arn
  port              = local.ports.tunnels
  protocol          = "TCP"
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.passage.arn
  }
}

locals {
  records = {
    console = { name = var.domain, zone = var.zone_id, at = aws_lb.front }
    agents  = { name = "agents.${var.domain}", zone = var.zone_id, at = aws_lb.front }
    tunnels = { name = "tunnels.${var.domain}", zone = var.zone_id, at = aws_lb.passage }
    airflow = { name = "*.${var.airflow_domain}", zone = var.airflow_zone_id, at = aws_lb.front }
  }
}

resource "aws_route53_record" "this" {
  # checkov:skip=CKV2_AWS_23: each is an alias of a balancer, by way of local.records
  for_each = { for key, record in local.records : key => record if record.zone != null }
  zone_id  = each.value.zone
  name     = each.value.name
  type     = "A"

  alias {
    name                   = each.value.at.dns_name
    zone_id                = each.value.at.zone_id
    evaluate_target_health = true
  }
}
