-- Each mart holds exactly what bronze holds up to the mart's own watermark: orders, money, to the row and to
-- the cent.
{{ config(tags=['full']) }}

with watermarks as (
    select
        'orders' as mart,
        max(order_id) as through,
        count(*) as orders,
        sum(total_amount) as revenue
    from {{ ref('orders') }}
    union all
    select
        'customers' as mart,
        max(last_order_id) as through,
        sum(orders) as orders,
        sum(total_revenue) as revenue
    from {{ ref('customers') }}
    union all
    select
        'daily_revenue' as mart,
        max(last_order_id) as through,
        sum(orders) as orders,
        sum(revenue) as revenue
    from {{ ref('daily_revenue') }}
),

bronze as (
    select
        watermarks.mart,
        count(*) as orders,
        sum(orders.total_amount) as revenue
    from {{ source('bronze', 'orders') }} as orders
    inner join watermarks
        on orders.order_id <= watermarks.through
    group by watermarks.mart
),

lines as (
    select sum(items.line_amount) as revenue
    from {{ source('bronze', 'order_items') }} as items
    where items.order_id <= (select max(products.last_order_id) from {{ ref('products') }} as products)
),

sold as (
    select sum(total_revenue) as revenue
    from {{ ref('products') }}
)

select
    watermarks.mart,
    watermarks.orders,
    bronze.orders as bronze_orders,
    watermarks.revenue,
    bronze.revenue as bronze_revenue
from watermarks
left join bronze
    on watermarks.mart = bronze.mart
where
    coalesce(watermarks.orders, 0) <> coalesce(bronze.orders, 0)
    or coalesce(watermarks.revenue, 0) <> coalesce(bronze.revenue, 0)
union all
select
    'products' as mart,
    null as orders,
    null as bronze_orders,
    sold.revenue,
    lines.revenue as bronze_revenue
from sold
cross join lines
where coalesce(sold.revenue, 0) <> coalesce(lines.revenue, 0)
